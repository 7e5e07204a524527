# SPDX-License-Identifier: MIT
"""The nodes of a tree in k-d trees, for few dimensions: exact, whatever is asked of them.

A k-d tree halves its points by a plane across the coordinate in which they reach farthest, and so on (Bentley 1975).
Nodes are added all the time and never move, so there are several such trees: the newest nodes stand in none and are
looked at one by one; full rows of them become a tree, and trees of one size become one of twice the size (Bentley and
Saxe 1980). Each node is sorted in log2(n / ``ROW``) times at most.

What is skipped lies clearly farther away than the nearest one found so far, in float64. What is not is told apart by
``square_distance``, as everywhere.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float, Int, Int8
from numpy.typing import NDArray

from egbas.machine.compiled import compiled
from egbas.samplers.gbrrt.distance import square_distance

Array = NDArray[np.floating]
ROW = 256  # nodes of the smallest tree
_LEAF = 8  # points that are looked at one by one
_DEEP = 64  # planes above a point at most, and trees: twice as many points need one more of either
_CLEARLY = 1 - 1e-12  # of a squared distance in float64, whose rounding is a thousandth of this


class KdTrees(NamedTuple):
    """The k-d trees of the first nodes of a tree that grows.

    Each is a part of ``points``, and each part of it has its plane through the point in its middle.
    """

    points: Float[Array, "n d"]  # latents of the nodes, tree by tree
    numbers: Int[NDArray[np.int64], " n"]  # which nodes they are
    axes: Int8[NDArray[np.int8], " n"]  # the coordinate that the plane of a point lies across
    ends: Int[NDArray[np.int64], " 64"]  # where each tree ends
    n_trees: Int[NDArray[np.int64], " 1"]  # how many trees there are

    @classmethod
    def empty(cls, n: int, query: Array) -> "KdTrees":
        """Room for n nodes."""
        points, axes = np.empty((n, len(query)), query.dtype), np.zeros(n, np.int8)
        return cls(points, np.empty(n, np.int64), axes, np.zeros(_DEEP, np.int64), np.zeros(1, np.int64))

    def catch_up(self, latents: Float[Array, "n d"], n_nodes: int) -> None:
        """Take up all nodes but the newest, of which there are fewer than ``ROW``.

        Args:
            latents: of the nodes.
            n_nodes: how many there are.
        """
        ends, end = self.ends[: self.n_trees[0]].tolist(), n_nodes // ROW * ROW
        begin = ends[-1] if ends else 0
        if end <= begin:
            return
        self.points[begin:end], self.numbers[begin:end] = latents[begin:end], np.arange(begin, end)
        while ends and ends[-1] - (ends[-2] if len(ends) > 1 else 0) <= end - begin:
            ends.pop()
            begin = ends[-1] if ends else 0
        _build(self.points, self.numbers, self.axes, begin, end)
        self.ends[len(ends)], self.n_trees[0] = end, len(ends) + 1

    def nearest(
        self, targets: Float[Array, "m d"], latents: Float[Array, "n d"], n_nodes: int
    ) -> tuple[Int[NDArray[np.int64], " m"], Float[NDArray[np.float64], " m"]]:
        """For each target the nearest node, the first of several, and the square of its distance.

        Args:
            targets: (m, d).
            latents: of the nodes.
            n_nodes: how many there are, at least 1.
        """
        return _nearest(self, targets, latents, n_nodes)


class _Stack(NamedTuple):
    """Parts of a tree that are still to be looked at, and a square that none of their points is nearer than."""

    first: Int[NDArray[np.int64], " s"]
    end: Int[NDArray[np.int64], " s"]
    least: Float[NDArray[np.float64], " s"]


@compiled()
@no_type_check
def n_sorted(trees):
    """How many nodes stand in the trees: the first ones."""
    return trees.ends[trees.n_trees[0] - 1] if trees.n_trees[0] > 0 else 0


@compiled()
@no_type_check
def _nearest(trees, targets, latents, n_nodes):
    parents, squares = np.zeros(len(targets), np.int64), np.full(len(targets), np.inf)
    stack = _Stack(np.empty(_DEEP, np.int64), np.empty(_DEEP, np.int64), np.empty(_DEEP))
    for row in range(len(targets)):
        target, parent, square = targets[row], np.int64(0), np.inf
        for node in range(n_sorted(trees), n_nodes):
            other = square_distance(target, latents[node])
            if other < square:
                parent, square = node, other
        begin = 0
        for end in trees.ends[: trees.n_trees[0]]:
            parent, square = _nearest_in(trees, begin, end, target, parent, square, stack)
            begin = end
        parents[row], squares[row] = parent, square
    return parents, squares


@compiled()
@no_type_check
def _nearest_in(trees, begin, end, target, parent, square, stack):  # noqa: PLR0913, PLR0917
    """The nearest point of one tree, if it is nearer than the square, or as near and an earlier node."""
    points, numbers, axes = trees.points, trees.numbers, trees.axes
    stack.first[0], stack.end[0], stack.least[0] = begin, end, 0.0
    n = 1
    while n > 0:
        n -= 1
        if stack.least[n] > square:
            continue
        first, last = stack.first[n], stack.end[n]
        while last - first > _LEAF:
            middle = (first + last) // 2
            other = square_distance(target, points[middle])
            if other < square or (other == square and numbers[middle] < parent):
                parent, square = numbers[middle], other
            gap = np.float64(target[axes[middle]]) - np.float64(points[middle, axes[middle]])
            stack.least[n] = gap * gap * _CLEARLY
            if gap < 0:
                stack.first[n], stack.end[n] = middle + 1, last
                last = middle
            else:
                stack.first[n], stack.end[n] = first, middle
                first = middle + 1
            n += 1
        for place in range(first, last):
            other = square_distance(target, points[place])
            if other < square or (other == square and numbers[place] < parent):
                parent, square = numbers[place], other
    return parent, square


@compiled()
@no_type_check
def is_any_within(trees, latent, limit, parent, iteration, iterations):
    """Whether a point is nearer than the squared limit, of those that an earlier iteration added, without the parent.

    Args:
        trees: of nodes.
        latent: (d,).
        limit: square of a distance.
        parent: number of a node that does not count.
        iteration: nodes of later ones do not count.
        iterations: (n,) that added the nodes.
    """
    points, numbers, axes = trees.points, trees.numbers, trees.axes
    firsts, ends = np.empty(_DEEP, np.int64), np.empty(_DEEP, np.int64)
    begin = 0
    for end in trees.ends[: trees.n_trees[0]]:
        firsts[0], ends[0] = begin, end
        n, begin = 1, end
        while n > 0:
            n -= 1
            first, last = firsts[n], ends[n]
            while last - first > _LEAF:
                middle = (first + last) // 2
                if _counts(points[middle], numbers[middle], latent, limit, parent, iteration, iterations):
                    return True
                gap = np.float64(latent[axes[middle]]) - np.float64(points[middle, axes[middle]])
                is_far = gap * gap * _CLEARLY >= limit
                if not is_far and gap < 0:
                    firsts[n], ends[n] = middle + 1, last
                    n += 1
                elif not is_far:
                    firsts[n], ends[n] = first, middle
                    n += 1
                if gap < 0:
                    last = middle
                else:
                    first = middle + 1
            for place in range(first, last):
                if _counts(points[place], numbers[place], latent, limit, parent, iteration, iterations):
                    return True
    return False


@compiled()
@no_type_check
def _counts(point, number, latent, limit, parent, iteration, iterations):  # noqa: PLR0913, PLR0917
    is_near = square_distance(latent, point) < limit
    return is_near and number != parent and iterations[number] < iteration


@compiled()
@no_type_check
def _build(points, numbers, axes, begin, end):
    """Sort points into a tree: the middle one of a part has the plane, those below it stand before it."""
    firsts, ends = np.empty(_DEEP, np.int64), np.empty(_DEEP, np.int64)
    firsts[0], ends[0] = begin, end
    n = 1
    while n > 0:
        n -= 1
        first, last = firsts[n], ends[n]
        while last - first > _LEAF:
            middle = (first + last) // 2
            axis = _widest(points[first:last])
            axes[middle] = axis
            _select(points, numbers, axis, first, last - 1, middle)
            firsts[n], ends[n] = middle + 1, last
            n += 1
            last = middle


@compiled()
@no_type_check
def _widest(points):
    """The coordinate in which points reach farthest."""
    widest, extent = 0, -1.0
    for axis in range(points.shape[1]):
        low = high = points[0, axis]
        for place in range(1, len(points)):
            low, high = min(low, points[place, axis]), max(high, points[place, axis])
        if high - low > extent:
            widest, extent = axis, high - low
    return widest


@compiled()
@no_type_check
def _select(points, numbers, axis, first, last, middle):
    """Let the point at the middle have as many before it that are not above it (Hoare 1961)."""
    while first < last:
        pivot = points[(first + last) // 2, axis]
        low, high = first, last
        while low <= high:
            while low < last and points[low, axis] < pivot:
                low += 1
            while high > first and points[high, axis] > pivot:
                high -= 1
            if low <= high:
                for i in range(points.shape[1]):
                    points[low, i], points[high, i] = points[high, i], points[low, i]
                numbers[low], numbers[high] = numbers[high], numbers[low]
                low += 1
                high -= 1
        if middle <= high:
            last = high
        elif middle >= low:
            first = low
        else:
            return
