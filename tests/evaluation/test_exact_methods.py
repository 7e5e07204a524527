# SPDX-License-Identifier: MIT
import functools
from typing import Any

import pytest
import torch
from torch import nn

from egbas.evaluation import exact_methods as module
from egbas.evaluation.equal_mass import EQUAL_MASS
from egbas.evaluation.exact_methods import (
    EXACT,
    EXACT_METHODS,
    RANDOM_SET,
    RANDOM_WEIGHTS,
    ExactSamples,
    ExactSettings,
    draw_exact,
)
from egbas.evaluation.sanity.randomised import randomised
from egbas.exploration import answers
from egbas.exploration.explore import explore
from egbas.exploration.result import Exploration
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.samplers.mass import mass_of
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


def test_the_mass_of_the_region_alone_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[object] = []

    def told(region: object, *args: Any, **kwargs: Any) -> Any:
        measured.append(region)
        return mass_of(region, *args, **kwargs)  # type: ignore[arg-type]

    for place in (answers, module):
        monkeypatch.setattr(place, "mass_of", told)
    found = draw_exact(halves_run(), SETTINGS)
    assert measured == [halves_run().region]  # a polytope's takes seconds, and more with each wall
    assert all(torch.equal(one.latents, other.latents) for one, other in zip(found.drawn, drawn().drawn, strict=True))


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
    assert few.unconverged == (EXACT, RANDOM_SET, RANDOM_WEIGHTS)


def test_random_weights_are_of_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    run = halves_run()
    before = {name: value.clone() for name, value in run.generator.state_dict().items()}
    made: list[nn.Module] = []

    def spy(*words: Any, **options: Any) -> nn.Module:
        made.append(randomised(*words, **options))
        return made[-1]

    monkeypatch.setattr(module, "randomised", spy)
    latents = {one.method: one.latents for one in draw_exact(run, SETTINGS).drawn}[RANDOM_WEIGHTS]
    assert all(torch.equal(before[name], value) for name, value in run.generator.state_dict().items())
    (copy,) = made
    assert isinstance(copy, HalvesNet)
    # All samples have the query's side of some of the copy's boundaries, as its supporting set says.
    sides = copy[0](latents.float()).sign()
    kept = (sides == copy[0](HALVES_QUERY).sign()).all(dim=0)
    assert bool(kept.any())
    assert not torch.equal(copy[0].weight, run.generator[0].weight)


def test_a_copy_without_a_region_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(generator: nn.Module, *_: Any, **__: Any) -> nn.Module:
        copy = HalvesNet()
        with torch.no_grad():
            copy[0].weight.zero_()
            copy[0].bias.fill_(-1.0)  # no unit is active
        return copy

    monkeypatch.setattr(module, "randomised", dead)
    found = draw_exact(halves_run(), SETTINGS)
    assert tuple(one.method for one in found.drawn) == (EXACT, EQUAL_MASS, RANDOM_SET)
    assert found.unconverged == ()
