# SPDX-License-Identifier: MIT
import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from egbas.errors import ConfigError, StartOutsideRegionError
from egbas.latent import Empirical, LatentSpace
from egbas.region import Region
from egbas.samplers.exact import ExactConfig, PriorSampler, UniformSampler, stay_apart
from egbas.samplers.kernel import Kernel
from egbas.samplers.target import Target, UniformBox
from tests.regions import rng
from tests.samplers.closed_forms import Oracle, Polytope

HALF = Polytope([[1.0, 0.0]], [0.0])
START, LATENT = torch.tensor([1.0, 0.0]), LatentSpace(shape=(2,))
SMALL = ExactConfig(n_chains=8)


def test_a_polytope_is_sampled_by_flights() -> None:
    found = PriorSampler(config=SMALL).sample(HALF, START, LATENT, rng())
    assert found.status == "CONVERGED" and found.facts["kernel"] == "HamiltonianKernel"
    assert found.diagnostics.r_hat <= 1.05 and found.diagnostics.ess >= 100
    assert found.latents.dtype == torch.float64 and bool(HALF.contains(found.latents).all())
    assert found.chain.tolist() == sorted(found.chain.tolist()) and set(found.chain.tolist()) == set(range(8))
    assert len(found.chain) == len(found.latents) == found.diagnostics.n_draws * 8
    # A half-normal of mean 0.8 and deviation 0.6, by at least 100 effective draws.
    assert abs(found.latents[:, 0].mean().item() - math.sqrt(2 / math.pi)) < 4 * 0.06


def test_membership_is_enough() -> None:
    found = PriorSampler(config=SMALL).sample(Oracle(HALF.contains), START, LATENT, rng())
    assert found.status == "CONVERGED" and found.facts["kernel"] == "HitAndRunKernel"
    assert found.evaluations > len(found.latents) and found.facts["refusals"] is None
    assert "R-hat" in found.sentence and "effective draws" in found.sentence


def test_a_linear_region_may_say_that_it_is_none() -> None:
    class Curved(Polytope):
        def linear(self) -> None:
            return None

    found = PriorSampler(config=SMALL).sample(Curved([[1.0, 0.0]], [0.0]), START, LATENT, rng())
    assert found.facts["kernel"] == "HitAndRunKernel"


def test_the_uniform_distribution_stays_in_its_box() -> None:
    config = ExactConfig(n_chains=8, half_width=1.5)
    for region in (HALF, Oracle(HALF.contains)):
        found = UniformSampler(config=config).sample(region, START, LATENT, rng())
        z = found.latents
        assert found.status == "CONVERGED"
        assert z[:, 0].min() >= 0 and z[:, 0].max() <= 2.5 and z[:, 1].abs().max() <= 1.5
        assert abs(z[:, 0].mean().item() - 1.25) < 4 * 0.072


def test_the_sphere_goes_through_the_query() -> None:
    sphere = LatentSpace(shape=(2,), geometry="sphere")
    for sampler in (PriorSampler(config=SMALL), UniformSampler(config=SMALL)):
        for region in (HALF, Oracle(HALF.contains)):
            found = sampler.sample(region, 3 * START, sphere, rng())
            torch.testing.assert_close(found.latents.norm(dim=1), torch.full((len(found.latents),), 3.0).double())


def test_same_rng_same_draws() -> None:
    for region in (HALF, Oracle(HALF.contains)):
        first, second, other = (
            PriorSampler(config=SMALL).sample(region, START, LATENT, rng(seed)).latents for seed in (1, 1, 2)
        )
        assert torch.equal(first, second) and not torch.equal(first, other)


def test_the_evaluations_are_bounded() -> None:
    config = ExactConfig(n_chains=8, samples=100_000, max_evaluations=20_000)
    found = PriorSampler(config=config).sample(Oracle(HALF.contains), START, LATENT, rng())
    assert found.status == "NOT_CONVERGED" and found.evaluations <= 20_000 * 1.02
    assert "Raise max_evaluations" in found.sentence and "100000 wanted" in found.sentence


def test_a_first_look_is_always_had() -> None:
    found = PriorSampler(config=ExactConfig(n_chains=8, max_evaluations=1)).sample(HALF, START, LATENT, rng())
    assert len(found.latents) == 8 * 6


def test_facts_are_fit_for_json() -> None:
    # No chain can move, so that R-hat is infinite; half of the chains are elsewhere.
    points = Oracle(lambda z: (z == START.to(z)).all(1) | (z == -START.to(z)).all(1))
    starts = lambda region, target, z: (-START).repeat(len(z), 1)  # noqa: E731
    found = PriorSampler(config=ExactConfig(n_chains=8, max_evaluations=1), starts=starts)
    facts = found.sample(points, START, LATENT, rng()).facts
    json.dumps(facts, allow_nan=False)
    assert facts["r_hat"] is None and facts["ess"] == 0 and facts["chains_from_prior"] == 4


def test_progress_is_told_early() -> None:
    told = []
    sampler = PriorSampler(config=ExactConfig(n_chains=8, samples=500))
    sampler.sample(HALF, START, LATENT, rng(), progress=lambda *update: told.append(update))
    assert told[0] == (0, 500, "warming up")
    assert told[1][2].startswith("R-hat ") and told[1][2].endswith(" effective draws")
    assert len(told) > 4 and told[-1][:2] == (500, 500)


def test_further_series_have_to_agree() -> None:
    asked = []

    def distance(z: Tensor) -> Tensor:
        asked.append(len(z))
        return torch.full((len(z),), math.nan) if len(asked) < 3 else z.norm(dim=1)

    found = PriorSampler(config=SMALL, series={"distance": distance}).sample(HALF, START, LATENT, rng())
    assert found.status == "CONVERGED" and len(asked) == 3  # and not before the coordinates had agreed


def mirrored(region: Region, target: Target, z: Tensor) -> Tensor:
    """Starts: all to where z1 > 1, half of them mirrored."""
    z[:, 0] = z[:, 0].abs() + 1
    z[::2, 0] *= -1
    return z


def test_groups_that_agree() -> None:
    found = PriorSampler(config=SMALL, starts=mirrored).sample(HALF, START, LATENT, rng())
    assert found.status == "CONVERGED"
    assert found.facts["chains_from_prior"] == 2  # those of the four that were brought inside
    assert found.facts["r_hat_between_starts"] < 1.1  # of two chains each


class Step:
    """Draws anew on the side of z1 = 0 where a chain is."""

    evaluations = 0

    def adapt(self, z: Tensor, rng: np.random.Generator) -> Tensor:
        return z

    def draw(self, z: Tensor, n: int, rng: np.random.Generator) -> Tensor:
        self.evaluations += n * len(z)
        draws = torch.from_numpy(rng.standard_normal((len(z), n, 2)))
        draws[..., 0] = (1 + draws[..., 0].abs()) * z[:, :1].sign()
        return draws


def test_parts_that_no_chain_crosses_between_are_told() -> None:
    def kernel(region: Region, target: Target, budget: int) -> Kernel:
        return Step()

    def other_side(region: Region, target: Target, z: Tensor) -> Tensor:
        z[:, 0] = -z[:, 0].abs() - 1
        return z

    parts = Oracle(lambda z: z[:, 0].abs() >= 1)
    config = ExactConfig(n_chains=8, max_evaluations=2000)
    found = PriorSampler(config=config, reflection=kernel, starts=other_side).sample(parts, START, LATENT, rng())
    assert found.status == "NOT_CONVERGED" and "stay apart" in found.sentence
    assert found.facts["r_hat_between_starts"] > 1.3 and found.facts["r_hat_of_query_chains"] < 1.05


@pytest.mark.parametrize(
    ("between", "within", "expected"),
    [
        (1.5, 1.01, True),
        (1.5, 1.08, True),
        (1.5, 1.4, False),
        (1.7, 1.68, False),
        (1.04, 1.0, False),
        (None, 1.0, False),
    ],
)
def test_chains_that_have_not_converged_themselves_tell_of_no_parts(
    between: float | None, within: float, expected: bool
) -> None:
    assert stay_apart(between, within) is expected


def test_a_factory_that_has_no_kernel_is_passed_over() -> None:
    sampler = PriorSampler(config=SMALL, reflection=lambda region, target, budget: None)
    assert sampler.sample(Oracle(HALF.contains), START, LATENT, rng()).facts["kernel"] == "HitAndRunKernel"


def test_starts_of_the_uniform_distribution_come_from_its_box() -> None:
    seen = []

    def starts(region: Region, target: Target, z: Tensor) -> Tensor:
        seen.append(z)
        return z

    box = UniformBox.around(START, 0.5)
    UniformSampler(config=ExactConfig(n_chains=200, half_width=0.5), starts=starts).sample(HALF, START, LATENT, rng())
    assert len(seen[0]) == 100 and bool(box.contains(seen[0]).all())


def test_a_query_outside_is_refused() -> None:
    with pytest.raises(StartOutsideRegionError):
        PriorSampler().sample(HALF, -START, LATENT, rng())
    with pytest.raises(StartOutsideRegionError):
        PriorSampler().sample(HALF, 2 * START, LatentSpace(shape=(2,), prior="uniform"), rng())


def test_settings_are_checked() -> None:
    for settings in ({"samples": 0}, {"max_evaluations": 0}, {"n_chains": 3}, {"half_width": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            ExactConfig(**settings)
    assert (PriorSampler.name, UniformSampler.name) == ("prior", "uniform")


def test_a_region_with_enough_of_the_prior_needs_no_chains() -> None:
    region = Oracle(lambda z: z[:, 0] > 1.0)  # a sixth of the prior
    start = torch.tensor([2.0, 0.0])
    found = PriorSampler(config=ExactConfig(samples=100), independent=True).sample(region, start, LATENT, rng())
    assert found.status == "CONVERGED" and found.facts["kernel"] == "Rejection" and found.diagnostics.ess == 400
    assert len(found.latents) == len(found.chain) == 400 and found.evaluations < 4000
    assert found.chain.bincount().tolist() == [25] * 16 and "independent" in found.sentence
    # The mean of a normal above 1 is phi(1) / Q(1) = 1.5251, its deviation 0.446.
    assert abs(float(found.latents[:, 0].mean()) - 1.5251) < 4 * 0.446 / 20
    few = ExactConfig(samples=1000, max_evaluations=2000)
    found = PriorSampler(config=few, independent=True).sample(region, start, LATENT, rng())
    assert found.status == "NOT_CONVERGED" and found.evaluations <= 2000 and "max_evaluations" in found.sentence


def test_independent_draws_are_those_of_a_uniform_prior() -> None:
    latent = LatentSpace(shape=(2,), prior="uniform", bound=2.0)
    sampler = PriorSampler(config=ExactConfig(samples=400), independent=True)
    found = sampler.sample(Oracle(lambda z: z[:, 0] > 1.0), torch.tensor([1.5, 0.0]), latent, rng())
    assert found.facts["kernel"] == "Rejection" and len(found.latents) == 1600
    assert bool((found.latents[:, 0] > 1.0).all()) and bool(latent.contains(found.latents).all())
    # Uniform on [1, 2] and on [-2, 2].
    for place, mean, deviation in ((0, 1.5, 1 / 12**0.5), (1, 0.0, 4 / 12**0.5)):
        assert abs(float(found.latents[:, place].mean()) - mean) < 4 * deviation / 40
        assert abs(float(found.latents[:, place].std()) / deviation - 1) < 0.08


def test_independent_draws_are_those_of_a_bank() -> None:
    bank = torch.randn(300, 2, generator=rng()) @ torch.tensor([[2.0, 1.0], [0.0, 0.5]]) + torch.tensor([5.0, -3.0])
    prior = Empirical(bank)
    middle, covariance = prior.mean, prior.covariance
    least = float(middle[0] + covariance[0, 0].sqrt())  # a deviation above the mean: a sixth of the prior
    sampler = PriorSampler(config=ExactConfig(samples=400), independent=True)
    start = torch.tensor([least + 1.0, float(middle[1])])
    space = LatentSpace(shape=(2,), prior=prior)
    found = sampler.sample(Oracle(lambda z: z[:, 0] > least), start, space, rng())
    assert found.facts["kernel"] == "Rejection" and len(found.latents) == 1600
    assert bool((found.latents[:, 0] > least).all())
    # As for a normal above 1, in deviations of the bank; what the other coordinate gets is by the regression on it.
    deviation = float(covariance[0, 0].sqrt())
    assert abs(float(found.latents[:, 0].mean() - middle[0]) / deviation - 1.5251) < 4 * 0.446 / 40
    slope, left = float(covariance[0, 1]) / deviation, float(torch.det(covariance)) ** 0.5 / deviation
    spread = (left**2 + (0.446 * slope) ** 2) ** 0.5
    assert abs(float(found.latents[:, 1].mean() - middle[1]) - 1.5251 * slope) < 4 * spread / 40


def test_a_look_for_independent_draws_changes_no_chain() -> None:
    region = Oracle(lambda z: z[:, 0] > 2.5)  # a 160th of the prior
    start = torch.tensor([3.0, 0.0])
    plain, looked = (
        PriorSampler(config=SMALL, independent=choice).sample(region, start, LATENT, rng()) for choice in (False, True)
    )
    assert torch.equal(plain.latents, looked.latents) and plain.facts == looked.facts
    assert plain.evaluations < looked.evaluations <= plain.evaluations + 256


def test_a_uniform_prior_on_a_sphere_keeps_the_directions_of_its_box() -> None:
    latent = LatentSpace(shape=(2,), prior="uniform", geometry="sphere")
    start = torch.tensor([0.6, 0.1])
    cone = Oracle(lambda z: z[:, 0] > z[:, 1].abs())
    found = PriorSampler(config=SMALL, independent=True).sample(cone, start, latent, rng())
    torch.testing.assert_close(
        found.latents.norm(dim=1), torch.full((len(found.latents),), start.norm().item()).double()
    )
    # y / x is uniform where x > |y| in a square; of uniform directions its square would have the mean 4 / pi - 1.
    slopes = found.latents[:, 1] / found.latents[:, 0]
    assert abs(float(slopes.square().mean()) - 1 / 3) < 4 * 0.298 / len(slopes) ** 0.5
    half = Oracle(lambda z: z[:, 0] > 0.59)  # asks for lengths, too
    found = PriorSampler(config=SMALL, independent=True).sample(half, start, latent, rng())
    assert bool(half.contains(found.latents).all()) and "box of the uniform prior" in found.sentence


def test_a_region_that_is_widest_on_the_sphere_keeps_its_draws_where_they_are() -> None:
    latent = LatentSpace(shape=(2,), prior="uniform", geometry="sphere")
    start = torch.tensor([0.6, 0.1])
    # Nothing is cut off on the sphere, where the cone is whole: moved there, draws would be too near its middle.
    narrowing = Oracle(lambda z: z[:, 0] > z[:, 1].abs() * (z.norm(dim=1) / start.norm()).clamp(min=1))
    for sampler in (PriorSampler(config=SMALL, independent=True), UniformSampler(config=SMALL)):
        found = sampler.sample(narrowing, start, latent, rng())
        is_prior = isinstance(sampler, PriorSampler)
        assert ("box of the uniform prior" in found.sentence) is is_prior
        assert (float(found.latents.norm(dim=1).std()) > 0.1) is is_prior
