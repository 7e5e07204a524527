# SPDX-License-Identifier: MIT
"""The few nodes that may be the nearest to a target, as far as distances with rounding errors can tell."""

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from egbas.machine.compiled import compiled
from egbas.samplers.gbrrt.distance import square_distance
from egbas.samplers.gbrrt.window import Array

_CHUNK = 64  # distances looked at together


class Shortlist:
    """The nodes that may be the nearest to each of some targets, gathered block by block.

    Attributes:
        slack: (m,) bound on how much the errors of two squared distances of a target differ.
    """

    def __init__(self, slack: Float[Array, " m"], *, room: int) -> None:
        """Start with no nodes, and room for so many of each target."""
        m = len(slack)
        self.slack = slack
        # Of the squared distances, without the target's own square, what the least is at most.
        self._limits = np.full(m, np.inf, slack.dtype)
        self._nodes, self._values = np.empty((m, room), np.int64), np.empty((m, room), slack.dtype)
        self._counts = np.zeros(m, np.int64)
        self._lost = np.full(m, np.inf, slack.dtype)  # least of the values that there was no room for

    def add(self, products: Float[Array, "m n"], node_squares: Float[Array, " n"], start: int) -> None:
        """Add a block of nodes, whose squared distances are ``products + node_squares``.

        Args:
            products: (m, n), -2 ab.
            node_squares: (n,).
            start: number of the first of the nodes.
        """
        notes = (self._limits, self._nodes, self._values, self._counts, self._lost)
        _scan(products, node_squares, start, self.slack, *notes)

    def add_rounded(
        self,
        products: Int[NDArray[np.int32], "m n"],
        factors: Float[NDArray[np.float32], " m"],
        scales: Float[NDArray[np.float32], " n"],
        node_squares: Float[NDArray[np.float32], " n"],
        errors: Float[NDArray[np.float32], " n"],
        start: int,
    ) -> None:
        """Add a block of nodes whose squared distances are ``factors scales products + node_squares``, up to errors.

        Args:
            products: (m, n), in whole numbers.
            factors: (m,) of the targets.
            scales: (n,) of the nodes.
            node_squares: (n,).
            errors: (n,) that the squared distances of a node may be off by.
            start: number of the first of the nodes.
        """
        notes = (self._limits, self._nodes, self._values, self._counts, self._lost)
        _scan_rounded(products, factors, scales, node_squares - errors, 2 * errors, start, *notes)

    def decide(
        self,
        targets: Float[Array, "m d"],
        latents: Float[Array, "n d"],
        parents: Int[NDArray[np.int64], " m"],
        squares: Float[NDArray[np.float64], " m"],
    ) -> None:
        """Write the nearest node of each target and its squared distance, but not for those that are overfull."""
        _tell_apart(targets, latents, self._nodes, np.where(self._is_overfull, 0, self._counts), parents, squares)

    @property
    def overfull(self) -> Int[NDArray[np.int64], " k"]:
        """Targets with more nodes than there is room for."""
        return np.flatnonzero(self._is_overfull)

    @property
    def _is_overfull(self) -> Bool[NDArray[np.bool_], " m"]:
        return self._lost <= self._limits


@compiled()
@no_type_check
def _scan(  # noqa: PLR0913, PLR0917
    products, node_squares, start, slack, limits, nodes, values, counts, lost
):
    """Note of a block of nodes those that may be the nearest."""
    for row in range(len(products)):
        product = products[row]
        for begin in range(0, len(product), _CHUNK):
            end = min(begin + _CHUNK, len(product))
            if not _any_within(product[begin:end], node_squares[begin:end], limits[row]):
                continue
            for j in range(begin, end):
                value = product[j] + node_squares[j]
                if value <= limits[row]:
                    _note(row, start + j, value, value + slack[row], limits, nodes, values, counts, lost)
        counts[row] = _still_near(nodes[row, : counts[row]], values[row, : counts[row]], limits[row])


@compiled()
@no_type_check
def _scan_rounded(  # noqa: PLR0913, PLR0917
    products, factors, scales, squares, widths, start, limits, nodes, values, counts, lost
):
    """The same of products in whole numbers: the least that a squared distance may be, and how much more it may be."""
    for row in range(len(products)):
        product, factor = products[row], factors[row]
        for begin in range(0, len(product), _CHUNK):
            end = min(begin + _CHUNK, len(product))
            if not _any_rounded(product[begin:end], factor, scales[begin:end], squares[begin:end], limits[row]):
                continue
            for j in range(begin, end):
                value = np.float32(product[j]) * (factor * scales[j]) + squares[j]
                if value <= limits[row]:
                    _note(row, start + j, value, value + widths[j], limits, nodes, values, counts, lost)
        counts[row] = _still_near(nodes[row, : counts[row]], values[row, : counts[row]], limits[row])


@compiled()
@no_type_check
def _note(row, node, value, most, limits, nodes, values, counts, lost):  # noqa: PLR0913, PLR0917
    """Note a node whose squared distance from a target is from a value on, and something at most."""
    limits[row] = min(limits[row], most)
    if counts[row] == len(nodes[row]):
        counts[row] = _still_near(nodes[row], values[row], limits[row])
    if counts[row] == len(nodes[row]):  # the farther half has to go
        middle = min(values[row].mean(), values[row].max())  # which is rounded, and may be above them all
        counts[row], lost[row] = _nearer(nodes[row], values[row], middle, lost[row])
    nodes[row, counts[row]], values[row, counts[row]] = node, value
    counts[row] += 1


@compiled()
@no_type_check
def _any_rounded(product, factor, scales, squares, limit):
    """As ``_any_within`` says it, of products in whole numbers."""
    n = np.int32(0)
    for j in range(len(product)):
        n = np.int32(n + np.int32(np.float32(product[j]) * (factor * scales[j]) + squares[j] <= limit))
    return n > 0


@compiled()
@no_type_check
def _any_within(product, node_squares, limit):
    """Whether a chunk has a squared distance within the limit; counted in 32 bits, since that runs on vectors."""
    n = np.int32(0)
    for j in range(len(product)):
        n = np.int32(n + np.int32(product[j] + node_squares[j] <= limit))
    return n > 0


@compiled()
@no_type_check
def _still_near(nodes, values, limit):
    """Keep, in order, those within the limit; how many they are."""
    n = 0
    for k in range(len(nodes)):
        if values[k] <= limit:
            nodes[n], values[n] = nodes[k], values[k]
            n += 1
    return n


@compiled()
@no_type_check
def _nearer(nodes, values, middle, lost):
    """Keep, in order, those nearer than the middle; how many they are, and the least of all values that were lost."""
    n = 0
    for k in range(len(nodes)):
        if values[k] < middle:
            nodes[n], values[n] = nodes[k], values[k]
            n += 1
        else:
            lost = min(lost, values[k])
    return n, lost


@compiled()
@no_type_check
def _tell_apart(targets, latents, nodes, counts, parents, squares):
    """Compare each target with the nodes that may be its nearest."""
    for row in range(len(targets)):
        if counts[row] > 0:
            squares[row] = np.inf
        for k in range(counts[row]):
            square = square_distance(targets[row], latents[nodes[row, k]])
            if square < squares[row]:
                parents[row], squares[row] = nodes[row, k], square
