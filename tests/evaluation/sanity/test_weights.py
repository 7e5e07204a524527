# SPDX-License-Identifier: MIT
import json
from dataclasses import replace

import torch

from egbas.errors import ConfigError
from egbas.evaluation.sanity.measured import Measured
from egbas.evaluation.sanity.weights import FREEDOM, MAP, UNITS, Copy, randomised_weights
from egbas.latent import LatentSpace
from tests.problems import Plain
from tests.sanities import small_sanity


def test_a_network_is_not_told_apart_from_itself() -> None:
    trained = small_sanity().weights.trained
    copy = Copy.of("whole", trained, trained)
    assert copy.separated_by == ()
    assert copy.freedom_correlation == copy.deviation_correlation == 1.0


def test_what_differs_tells_apart() -> None:
    trained = small_sanity().weights.trained
    assert trained.facts is not None
    many = replace(trained, units=2 * trained.units)
    assert Copy.of("tail", trained, many).separated_by == (UNITS,)
    facts = replace(trained.facts, mean=9.0, low=8.9, high=9.1, freedom=-trained.facts.freedom)
    assert Copy.of("tail", trained, replace(trained, facts=facts, status="CONVERGED")).separated_by in (
        (FREEDOM,),
        (),  # where the trained region's chains did not converge
    )  # a map of a region that holds nothing is noise
    alike = replace(trained.facts, freedom=-trained.facts.freedom)
    assert Copy.of("tail", trained, replace(trained, facts=alike)).separated_by == (MAP,)
    assert FREEDOM not in Copy.of("tail", trained, replace(trained, facts=facts, status="NOT_CONVERGED")).separated_by


def test_copies_of_the_small_network() -> None:
    found = small_sanity().weights
    row = found.row()
    json.dumps(row, allow_nan=False)
    assert [copy["weights"] for copy in row["copies"]] == ["head", "tail", "whole"]
    for copy in found.copies:
        assert copy.measured is not None
        assert copy.measured.error <= 0.067
    assert row["verdict"].count("Random weights") == 3


def test_a_copy_without_a_region_says_why() -> None:
    def fails(network: torch.nn.Module) -> Measured:
        raise ConfigError("no unit is active")

    network, space = Plain(), LatentSpace(shape=(2,))
    found = randomised_weights(network, "1", space, small_sanity().weights.trained, fails, seed=0)
    assert [copy.reason for copy in found.copies] == ["no unit is active"] * 3
    assert "no region to compare (no unit is active)" in found.verdict
    assert found.copies[0].row()["freedom_correlation"] is None


def test_no_correlation_has_no_sign() -> None:
    found = small_sanity().weights
    copies = (replace(found.copies[0], freedom_correlation=-0.001),)
    assert "the maps correlate by 0.00." in replace(found, copies=copies).verdict
