# SPDX-License-Identifier: MIT
"""Which nodes are nearest to new targets: exact, and in many dimensions at the speed of a matrix product.

There squared distances of all pairs come from ||a||^2 + ||b||^2 - 2 ab, whose rounding error has a bound. Nodes
that are the nearest within that bound are told apart by ``square_distance``. So no answer depends on what else is in
the batch, and the trees of all windows are one.
"""

from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray

from egbas.compiled import compiled
from egbas.gbrrt.distance import square_distance, square_length
from egbas.gbrrt.window import Array, Nodes

FEW = 16  # coordinates; with so few, distances one by one are the fastest
_BLOCK = 4096  # nodes whose distances from a window of targets stay in the processor's cache
_CHUNK = 64  # distances looked at together
_EPS = {dtype().dtype.char: float(np.finfo(dtype).eps) for dtype in (np.float32, np.float64)}
_ROOM = 32  # nodes that may be the nearest; with more of them all nodes are looked at one by one


def nearest(
    targets: Float[Array, "m d"], nodes: Nodes, n_nodes: int
) -> tuple[Int[NDArray[np.int64], " m"], Float[NDArray[np.float64], " m"]]:
    """For each target the nearest node, the first of several, and the square of its distance.

    Args:
        targets: m latents, of the dtype of the nodes.
        nodes: the tree.
        n_nodes: how many of its nodes there are, at least 1.
    """
    parents, squares = np.empty(len(targets), np.int64), np.empty(len(targets))
    if targets.shape[1] <= FEW:
        _search(targets, nodes.latents, n_nodes, parents, squares)
    else:
        _search_by_products(targets, nodes, n_nodes, parents, squares)
    return parents, squares


def _search_by_products(
    targets: Float[Array, "m d"],
    nodes: Nodes,
    n_nodes: int,
    parents: Int[NDArray[np.int64], " m"],
    squares: Float[NDArray[np.float64], " m"],
) -> None:
    m = len(targets)
    doubled = torch.from_numpy(targets * -2)
    least = np.full(m, np.inf, targets.dtype)  # of the squared distances, without the target's own square
    slack = np.empty(m, targets.dtype)
    _bound_errors(targets, nodes.squares[:n_nodes], 8 * (targets.shape[1] + 4) * _EPS[targets.dtype.char], slack)
    found, values, counts = np.empty((m, _ROOM), np.int64), np.empty((m, _ROOM), targets.dtype), np.zeros(m, np.int64)
    for start in range(0, n_nodes, _BLOCK):
        end = min(start + _BLOCK, n_nodes)
        products = torch.mm(doubled, torch.from_numpy(nodes.latents[start:end]).T).numpy()
        _scan(products, nodes.squares[start:end], start, slack, least, found, values, counts)
    _tell_apart(targets, nodes.latents, n_nodes, found, counts, parents, squares)


@compiled()
@no_type_check
def _bound_errors(targets, node_squares, scale, slack):
    """Bound how much the rounding errors of two squared distances of each target differ."""
    largest = 0.0
    for node in range(len(node_squares)):
        largest = max(largest, node_squares[node])
    for row in range(len(targets)):
        slack[row] = scale * (square_length(targets[row]) + largest)


@compiled()
@no_type_check
def _search(targets, latents, n_nodes, parents, squares):
    """Compare each target with all nodes."""
    for row in range(len(targets)):
        squares[row] = np.inf
        for node in range(n_nodes):
            square = square_distance(targets[row], latents[node])
            if square < squares[row]:
                parents[row], squares[row] = node, square


@compiled()
@no_type_check
def _scan(  # noqa: PLR0913, PLR0917
    products, node_squares, start, slack, least, found, values, counts
):
    """Note of a block of nodes those that may be the nearest; ``counts`` beyond the room: too many to note."""
    for row in range(len(products)):
        product, limit = products[row], least[row] + slack[row]
        for begin in range(0, len(product), _CHUNK):
            end = min(begin + _CHUNK, len(product))
            if not _any_within(product[begin:end], node_squares[begin:end], limit):
                continue
            for j in range(begin, end):
                value = product[j] + node_squares[j]
                if value > limit:
                    continue
                if value < least[row]:
                    least[row] = value
                    limit = value + slack[row]
                if counts[row] == _ROOM:
                    counts[row] = _still_near(found[row], values[row], limit)
                if counts[row] < _ROOM:
                    found[row, counts[row]], values[row, counts[row]] = start + j, value
                counts[row] = min(counts[row] + 1, _ROOM + 1)
        if counts[row] <= _ROOM:
            counts[row] = _still_near(found[row, : counts[row]], values[row, : counts[row]], limit)


@compiled()
@no_type_check
def _any_within(product, node_squares, limit):
    """Whether a chunk has a squared distance within the limit; counted, since that runs on vectors."""
    n = 0
    for j in range(len(product)):
        n += product[j] + node_squares[j] <= limit
    return n > 0


@compiled()
@no_type_check
def _still_near(found, values, limit):
    """Keep, in order, those within the limit; how many they are."""
    n = 0
    for k in range(len(found)):
        if values[k] <= limit:
            found[n], values[n] = found[k], values[k]
            n += 1
    return n


@compiled()
@no_type_check
def _tell_apart(  # noqa: PLR0913, PLR0917
    targets, latents, n_nodes, found, counts, parents, squares
):
    """Compare each target with the nodes that may be its nearest."""
    for row in range(len(targets)):
        squares[row] = np.inf
        is_noted = counts[row] <= _ROOM
        for k in range(counts[row] if is_noted else n_nodes):
            node = found[row, k] if is_noted else k
            square = square_distance(targets[row], latents[node])
            if square < squares[row]:
                parents[row], squares[row] = node, square
