# SPDX-License-Identifier: MIT
"""What a result of BerOpt says of itself."""

import torch

from egbas.beropt import BerOptConfig, BerOptStatus, optimize
from egbas.network import Network
from tests.problems import RedundantUnit


def test_evaluations_are_masks_of_all_steps() -> None:
    tail = Network(RedundantUnit().eval(), (2,)).split(1).at(torch.ones(2))
    config = BerOptConfig(masks=3, anneal_steps=7, max_steps=7)
    found = optimize(tail, config, rng=torch.Generator().manual_seed(0))
    assert (found.steps, found.evaluations) == (7, 21)


def test_a_status_is_a_sentence() -> None:
    assert all(" " in status.value and not status.value.endswith(".") for status in BerOptStatus)
