# SPDX-License-Identifier: MIT
from typing import Any

import pytest
import torch

import egbas
from egbas.beropt import BerOptConfig
from egbas.errors import ConfigError
from egbas.exploration.explore import explore, explore_many
from egbas.exploration.result import Exploration
from tests.problems import HALVES_QUERY, HalvesNet


def halves(repeats: int, **settings: Any) -> Exploration:
    settings = {"rng": 3, "level": 4, "samplers": ["prior"], "samples": 20, "max_evaluations": 2000, **settings}
    return explore(HalvesNet(), HALVES_QUERY, 1, repeats=repeats, **settings)


@pytest.fixture(scope="module")
def thrice() -> Exploration:
    return halves(3)


def test_the_answer_is_that_of_the_first(thrice: Exploration) -> None:
    once, again = halves(1), thrice
    assert once.certainty is None
    assert torch.equal(once.exact.latents, again.exact.latents)
    assert torch.equal(once.theta, again.theta)
    found = again.certainty
    assert found.repeats == 3
    assert {"repeats", "certainty"} <= again.seconds.keys() - once.seconds.keys()
    assert found.rows[0]["seed"] == 3 and len({row["seed"] for row in found.rows}) == 3
    assert found.rows[0]["freedom"] == again.facts.mean
    # The image needs three of four units at this level, whatever the masks.
    assert found.jaccard == 1.0
    assert torch.equal(found.core, again.beropt.units)


def test_the_same_seed_repeats_all_of_it(thrice: Exploration) -> None:
    assert halves(3).certainty.record() == thrice.certainty.record()
    assert halves(3, rng=4).certainty.record() != thrice.certainty.record()


def test_without_samples_the_sets_are_repeated() -> None:
    run = halves(2, samplers=None, samples=0)
    assert run.exact is None
    assert run.certainty.agreement is None
    assert run.certainty.repeats == 2


@pytest.mark.parametrize(("mass", "is_measured"), [(None, True), (True, True), (False, False)])
def test_no_mass_is_measured_of_repeats_where_nobody_wants_it(mass: bool | None, is_measured: bool) -> None:
    run = halves(2, mass=mass)  # in the plane, where seconds suffice
    assert (run.mass is not None) is is_measured
    assert [row["log10_mass"] is not None for row in run.certainty.rows] == [is_measured, is_measured]


def test_masks_differ_from_seed_to_seed() -> None:
    model = egbas.load_model("dcgan-mnist-2d")
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(7))[0]
    short = BerOptConfig(anneal_steps=60, max_steps=60)
    run = explore(model.generator, z0, 1, rng=7, samples=0, beropt=short, repeats=3)
    found = run.certainty
    assert found.jaccard_chance < found.jaccard < 1
    assert float(found.frequency.max()) == 1.0
    assert 0 < len(found.core) < len(run.beropt.units)


def test_many_queries_have_a_certainty_each() -> None:
    runs = explore_many(HalvesNet(), [HALVES_QUERY, -HALVES_QUERY], 1, rng=[1, 2], level=4, samples=0, repeats=2)
    alone = explore(HalvesNet(), -HALVES_QUERY, 1, rng=2, level=4, samples=0, repeats=2)
    assert [run.certainty.repeats for run in runs] == [2, 2]
    assert runs[1].certainty.record() == alone.certainty.record()


@pytest.mark.parametrize("repeats", [0, -1, 1001, True])
def test_numbers_that_cannot_be_meant(repeats: Any) -> None:
    with pytest.raises(ConfigError, match="expected a whole number from 1 to 1,000"):
        halves(repeats)


def test_a_region_of_ones_own_has_no_masks() -> None:
    class Ball:
        def contains(self, z: torch.Tensor) -> torch.Tensor:
            return z.norm(dim=1) < 2

    with pytest.raises(ConfigError, match="repeats=2 and a region"):
        explore(HalvesNet(), HALVES_QUERY, region=Ball(), rng=0, repeats=2)


def test_a_set_that_is_empty_with_other_masks_is_told() -> None:
    short = BerOptConfig(anneal_steps=60, max_steps=60)
    with pytest.raises(ConfigError, match=r"with other masks \(repeats=3\): the supporting set of layer"):
        explore(HalvesNet(), HALVES_QUERY, 1, rng=0, samples=0, beropt=short, repeats=3)


def test_a_sphere_is_as_free_as_its_own_prior() -> None:
    """A forced sphere restricts directions at the query's length: what holds nothing has a freedom of 1 there."""
    run = halves(2, level=1, geometry="sphere", samples=100, max_evaluations=20_000)
    assert run.certainty.agreement.mean == pytest.approx(run.facts.mean, rel=0.2)
    assert run.facts.mean > 0.6
