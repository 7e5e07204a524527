# SPDX-License-Identifier: MIT
import torch
from torch import Tensor

from egbas.samplers.rejection import Independent, as_chains, independent_draws


class _Below:
    """The share of a uniform coordinate below a bound."""

    def __init__(self, bound: float) -> None:
        self.bound, self.asked = bound, 0

    def contains(self, z: Tensor) -> Tensor:
        self.asked += len(z)
        return z[:, 0] < self.bound


def _uniform(seed: int = 0):
    rng = torch.Generator().manual_seed(seed)
    return lambda n: torch.rand(n, 2, generator=rng, dtype=torch.float32)


def test_draws_lie_inside_and_are_those_of_the_distribution() -> None:
    region = _Below(0.2)
    found = independent_draws(region, _uniform(), wanted=2000, most=100_000)
    assert found.is_enough and found.latents.shape == (2000, 2) and found.latents.dtype == torch.float64
    assert bool((found.latents[:, 0] < 0.2).all()) and found.evaluations == region.asked
    # Means of uniform coordinates on [0, 0.2] and [0, 1], by four standard errors.
    for place, (mean, deviation) in enumerate(((0.1, 0.2 / 12**0.5), (0.5, 1 / 12**0.5))):
        assert abs(float(found.latents[:, place].mean()) - mean) < 4 * deviation / 2000**0.5
    assert found.evaluations < 1.2 * 2000 / 0.2


def test_a_small_region_costs_a_look_alone() -> None:
    for share, most in ((0.0, 64), (0.01, 256)):
        found = independent_draws(_Below(share), _uniform(), wanted=10, most=100_000)
        assert not found.is_enough and not len(found.latents) and found.evaluations <= most


def test_evaluations_are_bounded() -> None:
    for most in (1, 40, 3000):
        found = independent_draws(_Below(0.5), _uniform(3), wanted=10_000, most=most)
        assert found.evaluations <= most and len(found.latents) <= most


def test_all_draws_are_kept_whatever_the_number_of_chains() -> None:
    latents = torch.rand(100, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    chains = as_chains(Independent(latents, 900, is_enough=True), samples=100, n_chains=16)
    assert chains.status == "CONVERGED" and chains.diagnostics.ess == 100
    assert torch.equal(chains.latents, latents)
    counts = chains.chain.bincount()
    assert len(counts) == 16 and set(counts.tolist()) == {6, 7} and bool((chains.chain.diff() >= 0).all())
    few = as_chains(Independent(latents[:3], 900, is_enough=True), samples=100, n_chains=16)
    assert few.status == "NOT_CONVERGED" and few.chain.tolist() == [0, 1, 2]
