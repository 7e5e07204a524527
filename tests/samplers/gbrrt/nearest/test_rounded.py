# SPDX-License-Identifier: MIT
"""Products in 8 bits find the nodes that exact distances find."""

import numpy as np
import pytest
import torch

from egbas.samplers.gbrrt import GbRrtConfig, grow
from egbas.samplers.gbrrt.nearest import rounded, search
from egbas.samplers.gbrrt.nearest.rounded import RoundedNodes, is_worth_it
from egbas.samplers.gbrrt.nearest.search import NearestNodes
from egbas.samplers.gbrrt.window import Array
from tests.regions import Box, rng
from tests.samplers.gbrrt.nearest.test_search import nodes_at

RNG = np.random.default_rng(0)
CLOUDS = {
    "cloud": RNG.uniform(-1, 1, (600, 40)),
    "near the query": np.concatenate([np.zeros((1, 40)), 0.01 * RNG.standard_normal((599, 40))]),
    "of all sizes": np.exp(RNG.uniform(-9, 3, (600, 1))) * RNG.standard_normal((600, 40)),
    "far from the origin": 100 + 0.01 * RNG.standard_normal((600, 40)),
    "on a lattice": RNG.integers(-1, 2, (600, 40)).astype(float),
    "all one": np.ones((600, 40)),
}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Round, whatever the size of the tree and the processor."""
    monkeypatch.setattr(search, "_LARGE", 0)
    monkeypatch.setattr(search, "is_worth_it", lambda d: True)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kind", CLOUDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_nearest_of_all_and_the_first_of_several(kind: str, dtype: type) -> None:
    latents = CLOUDS[kind].astype(dtype)
    targets = np.concatenate([latents[::40], latents[:20] + 1, RNG.uniform(-1, 1, (20, 40))]).astype(dtype)
    nodes = nodes_at(latents)
    nearest = NearestNodes(nodes)
    for n in (1, 2, 77, 600):
        found, squares = nearest(targets, n)
        gaps = np.square(targets[:, None].astype(np.float64) - latents[None, :n]).sum(axis=2)
        np.testing.assert_allclose(squares, gaps.min(axis=1), rtol=1e-12)
        several = np.isclose(gaps, gaps.min(axis=1)[:, None], rtol=1e-13, atol=0)
        assert several[np.arange(len(targets)), found].all()
        if kind in ("on a lattice", "all one") and dtype == np.float64:
            assert found.tolist() == several.argmax(axis=1).tolist()


def test_few_nodes_are_left_to_tell_apart() -> None:
    latents: Array = CLOUDS["cloud"].astype(np.float32)
    nodes = RoundedNodes(nodes_at(latents))
    nodes.catch_up(600)
    shortlist = nodes.shortlist(RNG.uniform(-1, 1, (50, 40)).astype(np.float32), 600, room=32)
    assert not len(shortlist.overfull)
    assert shortlist._counts.mean() < 6


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("d", [20, 64])
def test_the_tree_is_the_same(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def grown() -> list[torch.Tensor]:
        tree = grow(torch.zeros(d), Box(0.3), GbRrtConfig(iterations=800, step_size=0.1, half_width=1.0), rng=rng())
        assert len(tree.latents) > 200
        return [tree.latents, tree.parents, tree.rejected, tree.rejected_reason]

    in_8_bits = grown()
    monkeypatch.setattr(search, "is_worth_it", lambda d: False)
    assert all(map(torch.equal, in_8_bits, grown()))


def test_a_torch_without_such_products_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise RuntimeError("not implemented for 'CPU'")

    monkeypatch.setattr(rounded, "_int_mm", missing)
    is_worth_it.cache_clear()
    assert not is_worth_it(40)
    is_worth_it.cache_clear()
