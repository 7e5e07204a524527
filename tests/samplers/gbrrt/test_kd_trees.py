# SPDX-License-Identifier: MIT
"""K-d trees beside all distances: the same node, the first of several, however the nodes came."""

import numpy as np
import pytest
import torch

from egbas.samplers.gbrrt import GbRrtConfig, grow, kd_trees
from egbas.samplers.gbrrt.kd_trees import ROW, Array, KdTrees, is_any_within
from egbas.samplers.gbrrt.nearest import search
from tests.regions import Box, rng

RNG = np.random.default_rng(0)
CLOUDS = {
    "cloud": RNG.standard_normal((1500, 3)),
    "lattice, many at one distance": RNG.integers(-3, 4, (1500, 3)).astype(float),
    "one line, in order": np.arange(1500.0)[:, None] * [1.0, 0.0, 0.0],
    "one point": np.ones((1500, 3)),
    "far from the origin": 1e4 + 1e-3 * RNG.standard_normal((1500, 3)),
}


def sorted_in(latents: Array, steps: tuple[int, ...]) -> KdTrees:
    trees = KdTrees.empty(len(latents), latents[0])
    for n in steps:
        trees.catch_up(latents, n)
    return trees


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", CLOUDS)
@pytest.mark.parametrize("steps", [(1500,), (1, 255, 256, 700, 1024, 1100, 1400, 1500)])
def test_the_nearest_of_all_and_the_first_of_several(kind: str, steps: tuple[int, ...], dtype: type) -> None:
    latents = CLOUDS[kind].astype(dtype)
    trees = sorted_in(latents, steps)
    targets = np.concatenate([latents[::100], latents[:20] + 0.5, 3 * latents[:5] + 7]).astype(dtype)
    found, squares = trees.nearest(targets, latents, len(latents))
    gaps = np.square(targets[:, None].astype(np.float64) - latents[None]).sum(axis=2)
    assert found.tolist() == gaps.argmin(axis=1).tolist()
    np.testing.assert_allclose(squares, gaps.min(axis=1), rtol=1e-12)


def test_each_node_stands_in_one_tree_but_the_newest() -> None:
    latents = CLOUDS["cloud"]
    for steps in ((1500,), (*range(1, 1501, 90), 1500)):
        trees = sorted_in(latents, steps)
        n, sizes = ROW * (1500 // ROW), np.diff(trees.ends[: trees.n_trees[0]], prepend=0)
        assert sizes.sum() == n
        assert (sizes[:-1] > sizes[1:]).all()  # so that there are few
        assert sorted(trees.numbers[:n]) == list(range(n))
        assert np.array_equal(trees.points[:n], latents[trees.numbers[:n]])


@pytest.mark.parametrize("kind", CLOUDS)
def test_whether_a_node_is_near_that_counts(kind: str) -> None:
    latents = CLOUDS[kind]
    trees, iterations = sorted_in(latents, (900, 1500)), RNG.permutation(1500)
    n = int(trees.ends[trees.n_trees[0] - 1])
    for place in range(0, 1500, 75):
        latent = latents[place] + 0.1 * RNG.standard_normal(3)
        gaps = np.square(latents[:n] - latent).sum(axis=1)
        for limit in (gaps.min() * (1 - 1e-9), gaps.min() * (1 + 1e-9), 1.001 * np.median(gaps)):
            for parent, iteration in ((int(gaps.argmin()), 1500), (-1, 700), (-1, 0)):
                counts = (gaps < limit) & (np.arange(n) != parent) & (iterations[:n] < iteration)
                assert is_any_within(trees, latent, limit, parent, iteration, iterations) == counts.any()


@pytest.mark.parametrize("d", [2, 5])
def test_the_tree_is_the_one_that_is_looked_through(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def grown() -> list[torch.Tensor]:
        config = GbRrtConfig(iterations=1500, step_size=0.05, half_width=1.0)
        tree = grow(torch.zeros(d), Box(0.8), config, rng=rng())
        assert len(tree.latents) > 400
        return [tree.latents, tree.parents, tree.rejected, tree.rejected_reason]

    plain = grown()
    monkeypatch.setattr(search, "_UNSORTED", 0)
    monkeypatch.setattr(kd_trees, "ROW", 16)
    assert all(map(torch.equal, plain, grown()))
