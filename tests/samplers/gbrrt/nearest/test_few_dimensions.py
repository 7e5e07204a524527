# SPDX-License-Identifier: MIT
"""Nearest nodes in few dimensions, chunk by chunk."""

import numpy as np
import pytest

from egbas.samplers.gbrrt.nearest.few_dimensions import FewDimensions
from egbas.samplers.gbrrt.window import Array
from tests.samplers.gbrrt.nearest.test_search import nodes_at


def nearest(targets: Array, latents: Array) -> tuple[Array, Array]:
    nodes = FewDimensions(nodes_at(latents))
    nodes.catch_up(len(latents) // 2)
    nodes.catch_up(len(latents))
    return nodes.nearest(targets, len(latents))


@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("n", [1, 255, 256, 257, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_nearest_of_all(d: int, n: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    latents, targets = (rng.standard_normal((m, d)).astype(dtype) for m in (n, 30))
    parents, squares = nearest(targets, latents)
    gaps = np.square(targets[:, None].astype(np.float64) - latents[None]).sum(axis=2)
    assert parents.tolist() == gaps.argmin(axis=1).tolist()
    np.testing.assert_allclose(squares, gaps.min(axis=1), rtol=1e-12)


def test_distances_too_small_for_their_squares() -> None:
    # The squares of the nearer one, which is looked at later, are rounded up to the least of all float32, each to
    # nearly twice what it is.
    latents = np.ones((300, 2), np.float32)
    latents[0], latents[290] = (4.0e-23, 0.0), (2.8e-23, 2.8e-23)
    assert nearest(np.zeros((1, 2), np.float32), latents)[0].tolist() == [290]


def test_distances_that_float32_cannot_tell_apart() -> None:
    latents = np.array([[1 + 2e-7, 1.0, 1.0], [1.0, 1.0, 1.0]], np.float32)
    target = np.array([[-1e4, 0.0, 0.0]], np.float32)
    assert nearest(target, latents)[0].tolist() == [1]
