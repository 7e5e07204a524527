# SPDX-License-Identifier: MIT
from dataclasses import replace

import pytest
import torch

from egbas.beropt import BerOptConfig
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.storage import key_of
from egbas.sweep.identity import decides_of, options_of_tree
from tests.problems import HalvesNet

SPACE = LatentSpace(shape=(2,))


def network() -> Network:
    return Network(torch.nn.Sequential(*HalvesNet()).eval(), (2,))


def key(**changes: object) -> str:
    asked: dict[str, object] = {"space": SPACE, "beropt": BerOptConfig(), "gbrrt": GbRrtConfig(), "options": {}}
    asked |= changes
    return key_of(decides_of(network(), asked.pop("space"), asked.pop("beropt"), asked.pop("gbrrt"), **asked))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"space": replace(SPACE, geometry="sphere")},
        {"beropt": BerOptConfig(sparsity=1.5)},
        {"gbrrt": GbRrtConfig(iterations=7)},
        {"options": {"samples": 10}},
        {"options": {"an_option_of_tomorrow": "x"}},
        {"focus": (0, 0, 1, 1)},
        {"focus": torch.ones(2, 2, dtype=torch.bool)},
        {"judges": [("a:b", abs)]},
        {"features": abs},
        {"classifier": torch.nn.Linear(2, 2)},
    ],
)
def test_every_setting_decides(changes: dict[str, object]) -> None:
    assert key(**changes) != key()


def test_what_is_left_out_is_as_if_it_were_given_as_nothing() -> None:
    assert key(options={"mass": False, "delta": None}) == key()
    assert key(options={"samples": 0, "repeats": 1}) == key(options=options_of_tree())
    assert key(options={"samples": 0}) != key()  # 0 is a number


def test_groups_decide_and_single_units_are_told_as_before_there_were_any() -> None:
    assert key(beropt=BerOptConfig(units="channel")) != key()
    told = decides_of(network(), SPACE, BerOptConfig(), GbRrtConfig(), options={})
    assert "units" not in told["beropt"]


def test_the_level_is_told_on_its_own() -> None:
    assert key(beropt=BerOptConfig(level=2)) == key(beropt=BerOptConfig(level=5))
