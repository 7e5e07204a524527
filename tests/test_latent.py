# SPDX-License-Identifier: MIT
import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from egbas.errors import ConfigError
from egbas.latent import (
    Empirical,
    Frozen,
    LatentSpace,
    LatentSpaceLike,
    Normal,
    Prior,
    Product,
    Sphere,
    Uniform,
)


def test_size_is_the_product_of_the_shape() -> None:
    assert LatentSpace(shape=(512, 1, 1)).size == 512
    assert LatentSpace(shape=(4, 3)).size == 12


def test_normal_prior_has_mean_zero_and_unit_deviation() -> None:
    z = LatentSpace(shape=(8,)).sample(20_000, rng=torch.Generator().manual_seed(0))
    # 160,000 draws: the standard errors are 0.0025 and 0.0018; the tolerances are four of them.
    assert abs(z.mean().item()) < 0.01
    assert abs(z.std().item() - 1) < 0.0075


def test_uniform_prior_fills_its_support() -> None:
    latent = LatentSpace(shape=(2,), prior="uniform", bound=3.0)
    z = latent.sample(20_000, rng=torch.Generator().manual_seed(0))
    assert z.abs().max() <= 3.0
    # The chance that none of 40,000 draws falls into the last 0.1 % of the support is e^-20 on either side.
    assert z.min() < -2.994
    assert z.max() > 2.994
    assert z.std().item() == pytest.approx(latent.scale, rel=0.02)


def test_scale_is_the_deviation_of_one_coordinate() -> None:
    assert LatentSpace(shape=(2,)).scale == 1.0
    assert LatentSpace(shape=(2,), prior="uniform", bound=2.0).scale == pytest.approx(2 / math.sqrt(3))


def test_a_box_has_a_largest_half_width_and_a_sphere_none() -> None:
    assert LatentSpace(shape=(2,)).geometry == "flat"  # the paper's
    assert LatentSpace(shape=(2,)).largest_half_width == 4.0
    assert LatentSpace(shape=(2,), geometry="sphere").largest_half_width == math.inf


def test_support_of_the_uniform_prior_is_the_closed_box() -> None:
    z = torch.tensor([[0.0, 0.0], [3.0, -3.0], [0.0, 3.01], [-9.0, 0.0]])
    uniform = LatentSpace(shape=(2,), prior="uniform", bound=3.0)
    assert uniform.contains(z).tolist() == [True, True, False, False]
    assert LatentSpace(shape=(2,)).contains(z).all()


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_samples_are_flat_float32_and_follow_the_generator(prior: Any) -> None:
    latent = LatentSpace(shape=(2, 3), prior=prior)
    before = torch.get_rng_state()
    first, again, other = (latent.sample(5, rng=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == (5, 6)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": ()}, "not a list of positive sizes"),
        ({"shape": (0,)}, "not a list of positive sizes"),
        ({"shape": (2,), "prior": "cauchy"}, "'cauchy' is unknown; expected 'normal' or 'uniform'"),
        ({"shape": (2,), "geometry": "round"}, "'round' is unknown; expected 'flat' or 'sphere'"),
        ({"shape": (2,), "prior": "uniform", "bound": 0.0}, "bound 0.0 is not a positive number"),
        ({"shape": (2,), "prior": "uniform", "bound": math.inf}, "bound inf is not a positive number"),
        ({"shape": (2,), "prior": "uniform", "bound": math.nan}, "bound nan is not a positive number"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LatentSpace(**settings)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


BANK = torch.randn(300, 3, generator=rng(5)) @ torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.3, 1.0]]) + 4.0
MIXED = Product(((2, Normal()), (1, Frozen((0.3,))), (3, Uniform(2.0))))


def test_words_are_short_for_priors() -> None:
    assert LatentSpace(shape=(2,)) == LatentSpace(shape=(2,), prior=Normal())
    assert LatentSpace(shape=(2,), prior="uniform", bound=3.0) == LatentSpace(shape=(2,), prior=Uniform(3.0))
    assert (LatentSpace(shape=(2,), prior=Uniform(3.0)).bound, LatentSpace(shape=(2,)).bound) == (3.0, 1.0)


def test_the_draws_of_the_words_are_what_they_have_always_been() -> None:
    assert torch.equal(LatentSpace(shape=(5,)).sample(4, rng()), torch.randn(4, 5, generator=rng()))
    uniform = LatentSpace(shape=(5,), prior="uniform", bound=3.0)
    assert torch.equal(uniform.sample(4, rng()), 3.0 * (2 * torch.rand(4, 5, generator=rng()) - 1))


@pytest.mark.parametrize(
    ("prior", "d"),
    [(Normal(), 4), (Uniform(3.0), 4), (Sphere(), 4), (Sphere(3.0), 4), (MIXED, 6), (Empirical(BANK), 3)],
)
def test_every_prior_keeps_the_contract(prior: Prior, d: int) -> None:
    assert isinstance(prior, Prior)
    latent = LatentSpace(shape=(d,), prior=prior)
    z = latent.sample(20_000, rng())
    assert (z.shape, z.dtype) == ((20_000, d), torch.float32)
    assert torch.equal(z[:9], latent.sample(20_000, rng())[:9])
    assert latent.contains(z).all()
    varying = z.double().var(dim=0)
    spread = varying[varying > 0].mean().sqrt().item()
    assert latent.scale == pytest.approx(spread, rel=0.02)  # of 20,000 draws the standard error is half a percent
    gaps = (z[:1000, None] - z[None, :1000]).abs()
    assert (gaps <= prior.largest_half_width(d)).float().mean() > 0.99
    assert json.loads(json.dumps(latent.record())) == latent.record()
    assert latent.description


def test_log_densities_are_those_of_closed_forms() -> None:
    z = torch.tensor([[0.5, -1.0], [0.0, 2.0]])

    def log_density(prior: Prior, z: torch.Tensor = z) -> list[float]:
        found = LatentSpace(shape=(z.shape[1],), prior=prior).log_density(z)
        assert found is not None
        return found.tolist()

    log_2_pi = math.log(2 * math.pi)
    assert log_density(Normal()) == pytest.approx([-log_2_pi - 0.625, -log_2_pi - 2.0])
    assert log_density(Uniform(1.5)) == pytest.approx([-2 * math.log(3), -math.inf])
    frozen = Product(((1, Normal()), (1, Frozen((2.0,)))))
    assert log_density(frozen) == pytest.approx([-math.inf, -log_2_pi / 2])
    assert log_density(Product(((1, Normal()), (1, Uniform(2.5))))) == pytest.approx(
        [-log_2_pi / 2 - 0.125 - math.log(5), -log_2_pi / 2 - math.log(5)]
    )
    assert LatentSpace(shape=(2,), prior=Sphere()).log_density(z) is None
    assert LatentSpace(shape=(4,), prior=Product(((2, Sphere()), (2, Normal())))).log_density(z.repeat(1, 2)) is None
    bank = Empirical(BANK)
    points = BANK[:7] + 1.0
    torch.testing.assert_close(
        bank.log_density(points),
        torch.distributions.MultivariateNormal(bank.mean, bank.covariance).log_prob(points.double()),
    )


def test_the_density_of_a_product_on_a_line_sums_to_one() -> None:
    line = torch.linspace(-8, 8, 4001)[:, None]
    for prior in (Normal(), Uniform(2.0), Empirical(0.7 * torch.randn(50, 1, generator=rng()))):
        assert torch.trapezoid(prior.log_density(line).exp(), dx=16 / 4000).item() == pytest.approx(1, abs=2e-3)


def test_supports() -> None:
    z = torch.tensor([[0.0, 2.0], [2.0, 0.1], [0.6, 0.8]])
    assert Sphere(2.0).contains(z).tolist() == [True, False, False]
    assert Sphere(1.0).contains(z).tolist() == [False, False, True]
    assert Uniform(1.9).contains(z).tolist() == [False, False, True]
    assert Product(((1, Frozen((0.6,))), (1, Uniform()))).contains(z).tolist() == [False, False, True]
    assert Frozen((0.6, 0.8)).contains(z.double()).tolist() == [False] * 3  # 0.6 of float32 is no 0.6 of float64


def test_frozen_coordinates_stay() -> None:
    z = LatentSpace(shape=(6,), prior=MIXED).sample(50, rng())
    assert (z[:, 2] == 0.3).all()
    assert (z.std(dim=0) > 0).sum() == 5
    assert torch.equal(z[:, :2], torch.randn(50, 2, generator=rng()))  # nothing is drawn for them


def test_a_sphere_is_uniform_and_has_its_geometry() -> None:
    latent = LatentSpace(shape=(16,), prior=Sphere())
    z = latent.sample(20_000, rng())
    torch.testing.assert_close(z.norm(dim=1), torch.full((20_000,), 4.0))
    assert z.mean(dim=0).abs().max() < 0.03  # four standard errors of 1 / sqrt(20,000)
    assert (z.T.cov() - torch.eye(16)).abs().max() < 0.05
    assert (latent.geometry, latent.largest_half_width) == ("sphere", math.inf)
    assert LatentSpace(shape=(16,), prior=Sphere(), geometry="flat").largest_half_width == 8.0


def test_an_empirical_prior_has_the_moments_of_its_bank() -> None:
    prior = Empirical(BANK)
    torch.testing.assert_close(prior.mean, BANK.double().mean(0))
    torch.testing.assert_close(prior.covariance, BANK.double().T.cov())
    torch.testing.assert_close(prior.factor @ prior.factor.T, prior.covariance)
    z = prior.sample(50_000, 3, rng())
    torch.testing.assert_close(z.double().mean(0), prior.mean, rtol=0, atol=0.04)  # four standard errors
    torch.testing.assert_close(z.double().T.cov(), prior.covariance, rtol=0, atol=0.15)
    e = prior.whiten(z)
    torch.testing.assert_close(e.T.cov(), torch.eye(3, dtype=torch.float64), rtol=0, atol=0.03)
    torch.testing.assert_close(prior.unwhiten(e).float(), z)
    given = BANK.clone()
    changed = Empirical(given)
    given.zero_()
    torch.testing.assert_close(changed.bank, BANK)  # the prior has a copy of its own


def test_few_latents_need_shrinkage() -> None:
    few = torch.randn(3, 5, generator=rng())
    with pytest.raises(ConfigError, match=r"of 3 latents in 5 dimensions is singular.*shrinkage such as 0\.1"):
        Empirical(few)
    shrunk, alone = Empirical(few, shrinkage=0.1), Empirical(few, shrinkage=1.0)
    assert torch.isfinite(shrunk.log_density(few)).all()
    assert shrunk.scale(5) == pytest.approx(alone.scale(5))
    torch.testing.assert_close(alone.covariance, alone.scale(5) ** 2 * torch.eye(5, dtype=torch.float64))


@pytest.mark.parametrize(
    "latent",
    [
        LatentSpace(shape=(512, 1, 1)),
        LatentSpace(shape=(2,), prior="uniform", bound=3.0, geometry="sphere"),
        LatentSpace(shape=(2,), prior=Sphere()),
        LatentSpace(shape=(2,), prior=Sphere(1.5), geometry="flat"),
        LatentSpace(shape=(6,), prior=MIXED),
        LatentSpace(shape=(8,), prior=Product(((6, MIXED), (2, Sphere(1.0))))),
    ],
)
def test_what_is_written_down_is_read_again(latent: LatentSpace) -> None:
    record = json.loads(json.dumps(latent.record()))
    assert list(record)[:4] == ["shape", "prior", "bound", "geometry"]
    assert LatentSpace.from_record(record) == latent


def test_records_of_0_1_0_are_what_they_were() -> None:
    told = {"shape": [2], "prior": "uniform", "bound": 2.0, "geometry": "flat"}
    assert LatentSpace(shape=(2,), prior="uniform", bound=2.0).record() == told
    assert LatentSpace(shape=(2,)).record() == {**told, "prior": "normal", "bound": 1.0}
    assert LatentSpace.from_record(told) == LatentSpace(**told | {"shape": (2,)})  # type: ignore[arg-type]


class Narrow(Normal):
    """A user's prior that inherits its record."""

    def sample(self, n: int, size: int, rng: torch.Generator) -> torch.Tensor:
        return 0.1 * super().sample(n, size, rng)


class Corner:
    """A latent space of a user's own: the corners of a square."""

    shape, size, geometry, scale, largest_half_width = (2, 1), 2, "flat", 1.0, 2.0

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        return 2.0 * torch.randint(2, (n, 2), generator=rng) - 1

    def contains(self, z: torch.Tensor) -> torch.Tensor:
        return (z.abs() == 1).all(dim=1)


@pytest.mark.parametrize(
    ("space", "name"),
    [
        (LatentSpace(shape=(3,), prior=Empirical(BANK)), "empirical"),
        (LatentSpace(shape=(3,), prior=Narrow()), "Narrow"),
        (LatentSpace(shape=(3,), prior=Product(((3, Narrow()),))), "Narrow"),
        (LatentSpace.of(Corner()), "Corner"),
    ],
)
def test_a_prior_that_no_record_tells_has_to_be_passed(space: LatentSpace, name: str) -> None:
    record = json.loads(json.dumps(space.record()))
    with pytest.raises(ConfigError, match=f"'{name}' cannot be told from its record; pass the latent space as latent="):
        LatentSpace.from_record(record)


def test_a_latent_space_of_the_users_own() -> None:
    own = Corner()
    assert isinstance(own, LatentSpaceLike)
    assert not isinstance(Normal(), LatentSpaceLike)
    space = LatentSpace.of(own)
    assert (space.shape, space.size, space.geometry) == ((2, 1), 2, "flat")
    assert (space.scale, space.largest_half_width, space.description) == (1.0, 2.0, "Corner")
    assert space.contains(space.sample(9, rng())).all()
    assert torch.equal(space.sample(9, rng()), own.sample(9, rng()))
    assert space.log_density(torch.zeros(1, 2)) is None
    assert LatentSpace.of(space) is space
    assert dataclasses.replace(space, geometry="sphere").geometry == "sphere"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(-1.0), "bound -1.0 is not a positive number"),
        (lambda: Sphere(math.nan), "radius nan is not a positive number"),
        (lambda: Frozen(()), "not a list of finite numbers"),
        (lambda: Frozen((math.inf,)), "not a list of finite numbers"),
        (lambda: Product(()), "at least one coordinate each"),
        (lambda: Product(((0, Normal()),)), "at least one coordinate each"),
        (lambda: Product(((1, Frozen((1.0,))),)), "every coordinate of the product is frozen"),
        (lambda: Product(((2, Frozen((1.0,))), (1, Normal()))), r"\(frozen\) is one of 1 coordinates; got 2"),
        (lambda: LatentSpace(shape=(5,), prior=MIXED), "is one of 6 coordinates; got 5"),
        (lambda: LatentSpace(shape=(5,), prior=Empirical(BANK)), "is one of 3 coordinates; got 5"),
        (lambda: Empirical(BANK[:1]), r"shape \(1, 3\); expected \(m, d\), m at least 2"),
        (lambda: Empirical(BANK / 0), "all finite"),
        (lambda: Empirical(BANK, shrinkage=1.5), r"is 1\.5; it must be from 0 to 1"),
    ],
)
def test_bad_priors_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
