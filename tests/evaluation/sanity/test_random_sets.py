# SPDX-License-Identifier: MIT
import json
from dataclasses import replace

from egbas.evaluation.sanity.random_sets import RandomSets
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
        facts = replace(trained.facts, mean=mean)
        sets = RandomSets(trained=trained, equal_number=(replace(trained, facts=facts),), equal_mass=())
        return sets.verdict

    assert "BerOpt's holds more of the image" in with_freedom(5.0)
    assert "BerOpt's holds less of the image" in with_freedom(0.0)
    assert "no difference can be told" in with_freedom(trained.facts.mean)
    assert "1 random set of" in with_freedom(5.0)


def test_nothing_is_said_of_freedoms_that_are_not_known() -> None:
    trained = replace(small_sanity().weights.trained, facts=None)
    verdict = RandomSets(trained=trained, equal_number=(trained,), equal_mass=()).verdict
    assert "freedom" not in verdict
