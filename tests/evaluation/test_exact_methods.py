# SPDX-License-Identifier: MIT
import functools

import pytest
import torch

from egbas.evaluation.equal_mass import EQUAL_MASS
from egbas.evaluation.exact_methods import EXACT, EXACT_METHODS, RANDOM_SET, ExactSamples, ExactSettings, draw_exact
from egbas.exploration.explore import explore
from egbas.exploration.result import Exploration
from egbas.samplers.gbrrt import GbRrtConfig
from tests.problems import HALVES_QUERY, HalvesNet

SETTINGS = ExactSettings(samples=100, max_evaluations=20_000)
WITHIN = 0.6827  # of the normal distribution lies between -1 and 1


@functools.cache
def halves_run(level: int = 8) -> Exploration:
    return explore(HalvesNet(), HALVES_QUERY, 1, rng=3, level=level, samples=0, gbrrt=GbRrtConfig(iterations=30))


@functools.cache
def drawn() -> ExactSamples:
    return draw_exact(halves_run(), SETTINGS)


def test_every_method_is_drawn() -> None:
    assert tuple(one.method for one in drawn().drawn) == EXACT_METHODS
    assert drawn().unconverged == ()
    assert all(one.left_support == 0 and one.epsilon is None for one in drawn().drawn)


def test_exact_samples_lie_in_the_region() -> None:
    run = halves_run()
    assert len(run.region.units) == 4  # the square |z| <= 1
    latents = {one.method: one.latents for one in drawn().drawn}
    assert bool(run.region.contains(latents[EXACT].float()).all())
    assert bool((latents[RANDOM_SET].abs() <= 1).all())  # four of four active units are the same set


def test_the_ball_has_the_mass_of_the_region() -> None:
    found = drawn()
    assert found.mass is not None
    assert 10**found.mass.log10 == pytest.approx(WITHIN**2, rel=0.1)
    (ball,) = (one.latents for one in found.drawn if one.method == EQUAL_MASS)
    radius = (ball - HALVES_QUERY).norm(dim=1).max()
    prior = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0))
    share = ((prior - HALVES_QUERY).norm(dim=1) <= radius).double().mean()
    assert float(share) == pytest.approx(WITHIN**2, rel=0.1)


def test_a_random_set_has_as_many_active_units() -> None:
    run = halves_run(1)
    n = len(run.region.units)
    assert 0 < n < 4
    random = next(one for one in draw_exact(run, SETTINGS).drawn if one.method == RANDOM_SET)
    # Four boundaries, each on one side of the query: some of them were crossed, and n of them never.
    sides = torch.stack(
        [1 - random.latents[:, 0], 1 + random.latents[:, 0], 1 - random.latents[:, 1], 1 + random.latents[:, 1]]
    )
    assert int((sides >= 0).all(dim=1).sum()) >= n


def test_the_same_seed_draws_the_same() -> None:
    again = draw_exact(halves_run(), SETTINGS)
    assert all(torch.equal(one.latents, other.latents) for one, other in zip(again.drawn, drawn().drawn, strict=True))


def test_what_did_not_converge_is_named() -> None:
    few = draw_exact(halves_run(), ExactSettings(samples=100_000, max_evaluations=1))
    assert few.unconverged == (EXACT, RANDOM_SET)
