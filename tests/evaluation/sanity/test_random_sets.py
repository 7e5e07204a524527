# SPDX-License-Identifier: MIT
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from egbas.evaluation.sanity.random_sets import RandomSets, _of_mass
from egbas.exploration.problem import Problem
from egbas.latent import LatentSpace
from tests.sanities import small_sanity


def test_random_sets_have_as_many_units() -> None:
    found = small_sanity().sets
    json.dumps(found.row(), allow_nan=False)
    assert len(found.equal_number) == 2
    for one in found.equal_number:
        assert one.units == found.trained.units
        assert one.active == found.trained.active


def test_sets_of_equal_mass_have_it() -> None:
    found = small_sanity().sets
    assert found.trained.log10_mass is not None
    assert len(found.equal_mass) == 2
    for one in found.equal_mass:
        # One unit may take the region below the mass that is wanted by more than the rest of them leave.
        assert one.log10_mass is not None
        assert one.log10_mass[0] > found.trained.log10_mass[0] - 0.3


def test_the_verdict_goes_by_the_interval() -> None:
    trained = small_sanity().weights.trained
    assert trained.facts is not None and trained.facts.low is not None

    def with_freedom(mean: float) -> str:
        facts = replace(trained.facts, mean=mean, low=mean, high=mean)
        sets = RandomSets(trained=trained, equal_number=(replace(trained, facts=facts),), equal_mass=())
        return sets.verdict

    assert "BerOpt's holds more of the image" in with_freedom(5.0)
    assert "BerOpt's holds less of the image" in with_freedom(0.0)
    assert "no difference can be told" in with_freedom(trained.facts.mean)
    assert "1 random set of" in with_freedom(5.0)


@pytest.mark.parametrize(("low", "high", "told"), [(0.4, 0.6, "no difference"), (0.5, 0.6, "holds more")])
def test_intervals_of_the_random_sets_count_as_well(low: float, high: float, told: str) -> None:
    trained = small_sanity().weights.trained
    own = replace(trained.facts, mean=0.43, low=0.39, high=0.47)
    other = replace(trained.facts, mean=0.55, low=low, high=high)
    sets = RandomSets(trained=replace(trained, facts=own), equal_number=(replace(trained, facts=other),), equal_mass=())
    assert told in sets.verdict


def test_nothing_is_said_of_freedoms_that_are_not_known() -> None:
    trained = replace(small_sanity().weights.trained, facts=None)
    verdict = RandomSets(trained=trained, equal_number=(trained,), equal_mass=()).verdict
    assert "freedom" not in verdict


def test_on_a_sphere_the_mass_is_that_of_its_directions() -> None:
    # Halves of the sphere through the query beyond which the prior, which is longer, has nearly all of its draws.
    linear = nn.Linear(8, 8, dtype=torch.float32)
    with torch.no_grad():
        linear.weight.copy_(-torch.eye(8, dtype=torch.float32))
        linear.bias.fill_(0.6)
    network = nn.Sequential(linear, nn.ReLU(), nn.Unflatten(1, (1, 2, 4))).eval()
    query = torch.full((8,), 0.1, dtype=torch.float32)
    space = LatentSpace(shape=(8,), geometry="sphere")
    problem = Problem.of(network, [query], [0], 1, latent=space, geometry="sphere", model_name="")
    assert problem.precisions is not None
    tail = problem.precisions.split.at(query)
    kept = _of_mass(problem, tail, torch.arange(8), -0.01, torch.Generator().manual_seed(0))
    assert kept is not None and int(kept.sum()) == 8  # no boundary reaches a sphere of radius 0.3
