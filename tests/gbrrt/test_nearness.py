# SPDX-License-Identifier: MIT
"""Comparisons of distances against exact arithmetic, where rounding of the fast formula would decide wrongly."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egbas.gbrrt.nearness import Array, Points, Ruler, closer, lengths, nearest


def points(values: Array, query: Array | None = None) -> Points:
    return Ruler(np.zeros(values.shape[1], values.dtype) if query is None else query).points(values)


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
)
def test_answers_are_those_of_exact_arithmetic(d: int, seed: int, spread: float, is_single: bool) -> None:
    # A cloud far from the origin: ||a||^2 + ||b||^2 - 2 ab cancels there.
    rng = np.random.default_rng(seed)
    dtype = np.float32 if is_single else np.float64
    query = (3 * rng.standard_normal(d)).astype(dtype)
    a, b = ((query + spread * rng.standard_normal((n, d))).astype(dtype) for n in (5, 9))
    squares = exact(a, b)
    limit = math.sqrt(float(np.median(np.array(squares, dtype=float))))
    ruler = Ruler(query)
    found, distances = nearest(ruler.points(a), ruler.points(b))
    assert found.tolist() == [row.index(min(row)) for row in squares]
    np.testing.assert_allclose(distances, [math.sqrt(min(row)) for row in squares], rtol=1e-12)
    below = closer(ruler.points(a), ruler.points(b), limit)
    decided = [[abs(float(s) / limit**2 - 1) > 1e-12 for s in row] for row in squares]
    expected = [[float(s) < limit**2 for s in row] for row in squares]
    assert (below == expected)[np.array(decided)].all()


def test_the_first_of_equally_near_ones() -> None:
    a, b = np.zeros((1, 40), np.float32), np.eye(40, dtype=np.float32)[[3, 1, 2]]
    assert nearest(points(a), points(b))[0].tolist() == [0]


@pytest.mark.parametrize("d", [2, 40])
def test_many_nodes_are_searched_block_by_block(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    a, b = (points(rng.standard_normal((n, d)).astype(np.float32)) for n in (20, 1000))
    whole, distances = nearest(a, b)
    monkeypatch.setattr("egbas.gbrrt.nearness._BLOCK", 7)
    assert nearest(a, b)[0].tolist() == whole.tolist()
    assert nearest(a, b)[1].tolist() == distances.tolist()
    twice = b.joined(b)  # each node once more, in another block: the first of the two is the answer
    assert nearest(a, twice)[0].tolist() == whole.tolist()


@pytest.mark.parametrize("d", [2, 40])
def test_a_distance_equal_to_the_limit_is_not_closer(d: int) -> None:
    a = np.zeros((3, d), np.float32)
    b = np.zeros((1, d), np.float32)
    b[0, 0] = 0.5
    assert closer(points(a), points(b), np.array([0.5, np.nextafter(0.5, 1), 0.4])).tolist() == [
        [False],
        [True],
        [False],
    ]


def test_nothing_is_closer_than_nobody() -> None:
    assert closer(points(np.ones((3, 2))), points(np.ones((0, 2))), 1.0).shape == (3, 0)


@pytest.mark.parametrize("d", [3, 40])
def test_answers_do_not_depend_on_the_batch(d: int) -> None:
    rng = np.random.default_rng(0)
    cloud = points(rng.standard_normal((40, d)).astype(np.float32))
    limit = float(np.median(lengths(cloud.latents[1:].astype(np.float64) - cloud.latents[:1])))
    together = closer(cloud, cloud, limit)
    alone = np.concatenate([closer(cloud[i : i + 1], cloud, limit) for i in range(40)])
    assert (together == alone).all()
    assert (together == together.T).all()


def test_points_are_chosen_and_joined() -> None:
    cloud = points(np.arange(12.0).reshape(6, 2))
    both = cloud[:2].joined(cloud[np.array([5])])
    assert both.latents.tolist() == [[0, 1], [2, 3], [10, 11]]
    assert both.squares.tolist() == [1, 13, 221]
    assert len(both) == 3
