# SPDX-License-Identifier: MIT
"""Nearest nodes against exact arithmetic, where rounding of the fast formula would decide wrongly."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from egbas.samplers.gbrrt.nearest.search import NearestNodes
from egbas.samplers.gbrrt.window import Array, Nodes


def nodes_at(latents: Array) -> Nodes:
    nodes = Nodes.empty(len(latents), latents[0])
    nodes.latents[:], nodes.squares[:] = latents, np.square(latents).sum(axis=1)
    return nodes


def search(targets: Array, latents: Array) -> tuple[list[int], list[float]]:
    found, squares = NearestNodes(nodes_at(latents))(targets, len(latents))
    return found.tolist(), squares.tolist()


def exact(a: Array, b: Array) -> list[list[Fraction]]:
    """Squared distances, without rounding."""
    return [
        [sum((Fraction(float(x)) - Fraction(float(y))) ** 2 for x, y in zip(p, q, strict=True)) for q in b] for p in a
    ]


@settings(max_examples=60, deadline=None)
@given(
    d=st.sampled_from([1, 2, 16, 17, 64]),
    seed=st.integers(0, 10_000),
    spread=st.sampled_from([1e-5, 1e-2, 1.0]),
    is_single=st.booleans(),
    is_large=st.booleans(),
    n_cores=st.sampled_from([1, 3, 8]),
)
def test_answers_are_those_of_exact_arithmetic(
    d: int, seed: int, spread: float, is_single: bool, is_large: bool, n_cores: int
) -> None:
    # A cloud far from the origin: ||a||^2 + ||b||^2 - 2 ab cancels there.
    rng = np.random.default_rng(seed)
    dtype = np.float32 if is_single else np.float64
    query = (3 * rng.standard_normal(d)).astype(dtype)
    a, b = ((query + spread * rng.standard_normal((n, d))).astype(dtype) for n in (5, 90))
    squares = exact(a, b)
    with pytest.MonkeyPatch.context() as patch:
        if is_large:  # shared among the cores
            patch.setattr("egbas.samplers.gbrrt.nearest.search._LARGE", 0)
        patch.setattr("egbas.samplers.gbrrt.nearest.search._WORTH_THREADS", 0)
        patch.setattr("egbas.samplers.gbrrt.nearest.search.idle_cores", lambda: n_cores)
        found, distances = search(a, b)
    assert found == [row.index(min(row)) for row in squares]
    np.testing.assert_allclose(distances, [float(min(row)) for row in squares], rtol=1e-12)


@pytest.mark.parametrize("d", [3, 40])
def test_the_first_of_equally_near_ones(d: int) -> None:
    assert search(np.zeros((1, d), np.float32), np.eye(d, dtype=np.float32)[[2, 1, 0]])[0] == [0]


@pytest.mark.parametrize("d", [3, 40])
def test_the_first_of_more_equally_near_ones_than_are_noted(d: int) -> None:
    latents = np.ones((500, d), np.float32)
    latents[:3] = 5.0
    assert search(np.zeros((2, d), np.float32), latents)[0] == [3, 3]


@pytest.mark.parametrize("d", [2, 40])
def test_many_nodes_are_searched_block_by_block(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, d)).astype(np.float32) for n in (20, 1000))
    whole = search(a, b)
    monkeypatch.setattr("egbas.samplers.gbrrt.nearest.search._BLOCK", 7)
    assert search(a, b) == whole
    assert search(a, np.concatenate([b, b])) == whole  # each node once more, in another block: the first is the answer


@pytest.mark.parametrize("d", [3, 40])
def test_answers_do_not_depend_on_the_batch(d: int) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, d)).astype(np.float32) for n in (30, 300))
    found, squares = search(a, b)
    for i in range(30):
        assert search(a[i : i + 1], b) == ([found[i]], [squares[i]])


def test_products_in_bfloat16_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, 64)).astype(np.float32) for n in (20, 300))
    expected = search(a, b)
    torch.set_float32_matmul_precision("medium")
    try:
        assert search(a, b) == expected
    finally:
        torch.set_float32_matmul_precision("highest")


def test_nodes_that_are_not_there_yet_are_not_found() -> None:
    latents = np.array([[3.0, 0.0], [math.nan, 0.0]])
    assert NearestNodes(nodes_at(latents))(np.zeros((1, 2)), 1)[0].tolist() == [0]


@pytest.mark.parametrize("d", [2, 40, 512])
def test_nodes_that_come_later_are_found(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egbas.samplers.gbrrt.nearest.search._LARGE", 0)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, d)).astype(np.float32) for n in (20, 300))
    growing = NearestNodes(nodes_at(b))
    for n in (20, 150, 300):
        found, squares = growing(a, n)
        alone, alone_squares = NearestNodes(nodes_at(b[:n]))(a, n)
        assert (found.tolist(), squares.tolist()) == (alone.tolist(), alone_squares.tolist())
