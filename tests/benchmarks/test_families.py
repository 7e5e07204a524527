# SPDX-License-Identifier: MIT
"""The table of networks: its rows can be built, and its checks see what they should."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import egbas
from benchmarks import families, family_networks
from tests import problems

FAMILY = families.Family(name="plain", title="Plain", source="here", layer="1", place=("1", "input", 1))


def test_every_row_has_a_network() -> None:
    named = {family.name for family in families.FAMILIES}
    assert len(named) == len(families.FAMILIES)
    assert all(hasattr(family_networks, family.name) or family.file for family in families.FAMILIES)


def explored() -> tuple[nn.Module, egbas.Exploration]:
    network = problems.Plain().eval()
    network.latent = egbas.LatentSpace(shape=(2,))
    run = egbas.explore(network, problems.QUERY, 1, rng=0, samples=0, gbrrt=egbas.GbRrtConfig(iterations=40))
    return network, run


def test_a_run_is_checked_by_hooks() -> None:
    network, run = explored()
    found = families.check(FAMILY, run, network)
    assert found["agree"] == found["asked"] > found["asked_inside"] > 0
    assert found["tail_error"] < 1e-6
    assert found["fidelity_by_hooks"] == pytest.approx(found["fidelity"], abs=1e-6)


def test_a_wrong_region_is_seen() -> None:
    network, run = explored()
    with torch.no_grad():
        network.get_parameter("0.weight").neg_()  # another network than the one of the run
    found = families.check(FAMILY, run, network)
    assert found["agree"] < found["asked"]


def test_the_table() -> None:
    row = {
        "title": "Plain",
        "source": "here",
        "command": "egbas explore",
        "cpu_seconds": 2.4,
        "layers": 3,
        "bypassed": 1,
    }
    row |= {"layer": "block", "past": 0.25, "kept": 1200, "units": 4000, "fidelity": 0.05, "inside": 9, "samples": 9}
    row |= {"agree": 7, "asked": 7, "asked_inside": 5, "tail_error": 1e-7}
    text = families.table([row, {"title": "Other", "source": "there", "failed": "it does not run"}])
    assert "3 non-linearities, 1 of them bypassed. `block` (25% flows past it): 1,200 of 4,000 units" in text
    assert "| Other | there | | | it does not run |" in text
    assert replace(FAMILY, name="lenet").model == "benchmarks.family_networks:lenet"
