# SPDX-License-Identifier: MIT
"""Targets looked up ahead have the nearest nodes that they would have found in their turn."""

import numpy as np
import pytest
import torch

from egbas.geometry import Flat
from egbas.samplers.gbrrt.nearest.lookahead import Lookahead
from egbas.samplers.gbrrt.nearest.search import NearestNodes
from egbas.samplers.gbrrt.targets import Targets
from tests.regions import rng
from tests.samplers.gbrrt.nearest.test_search import nodes_at


@pytest.mark.parametrize("d", [2, 40])
def test_targets_meet_the_nodes_that_come_after_them(d: int) -> None:
    nodes = nodes_at(np.random.default_rng(0).uniform(-1, 1, (300, d)).astype(np.float32))
    lookahead = Lookahead(Targets(Flat(torch.zeros(d)), 1.0, 200, rng=rng()), nodes)
    alone = Targets(Flat(torch.zeros(d)), 1.0, 200, rng=rng())
    n_nodes = 1
    for asked in (1, 0, 30, 60, 100, 20):
        latents, parents, squares = lookahead.take(asked, n_nodes)
        expected = alone.draw(asked).numpy()
        assert np.array_equal(latents, expected)
        if len(expected):
            found, distances = NearestNodes(nodes)(expected, n_nodes)
            assert (parents.tolist(), squares.tolist()) == (found.tolist(), distances.tolist())
        n_nodes += 50
    assert len(lookahead.take(5, n_nodes)[0]) == 0
