# SPDX-License-Identifier: MIT
"""Which nodes are nearest to targets: exact, whatever way they are looked for.

Every way bounds the rounding error of its squared distances, and tells the nodes that are the nearest within that bound
apart by ``square_distance``. So no answer depends on what else is in the batch, and the trees of all windows are one.

In few dimensions large trees are sorted (``kd_trees``), and of others all distances are computed (``few_dimensions``).
In many, those of all pairs come from ||a||^2 + ||b||^2 - 2 ab, a matrix product, of large trees in 8 bits
(``rounded``).
"""

from collections.abc import Callable
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray

from egbas.geometry.length import square_length
from egbas.machine.compiled import compiled
from egbas.machine.threads import at_once, idle_cores
from egbas.samplers.gbrrt.distance import compare
from egbas.samplers.gbrrt.nearest.few_dimensions import FewDimensions
from egbas.samplers.gbrrt.nearest.rounded import RoundedNodes, is_worth_it
from egbas.samplers.gbrrt.nearest.shortlist import Shortlist
from egbas.samplers.gbrrt.window import SORTED, Array, Nodes

FEW = 16  # coordinates; with so few, distances one by one are the fastest
_BLOCK = 4096  # nodes whose distances from a window of targets stay in the processor's cache
_ROOM = 32  # nodes that products may leave for each target; with more of them all are looked at one by one
_UNSORTED = 2048  # nodes; so few are looked through sooner than k-d trees are gone down
_LARGE = 2**22  # coordinates of all nodes; from there on looking through them takes long
_EPS = {dtype().dtype.char: float(np.finfo(dtype).eps) for dtype in (np.float32, np.float64)}

_WORTH_THREADS = 4_000_000  # products of two coordinates; fewer take less than a millisecond

Nearest = tuple[Int[NDArray[np.int64], " m"], Float[NDArray[np.float64], " m"]]
Search = Callable[[Array, int], Nearest]


class NearestNodes:
    """The nearest nodes of one tree, while it grows; nodes never move."""

    def __init__(self, nodes: Nodes) -> None:
        """Take the tree."""
        self._nodes, d = nodes, nodes.latents.shape[1]
        looked_through = nodes.first(_UNSORTED) if d <= SORTED else nodes
        self._few_dimensions = FewDimensions(looked_through) if d <= FEW else None
        self._rounded: RoundedNodes | None = None  # where the tree is large

    def __call__(self, targets: Float[Array, "m d"], n_nodes: int) -> Nearest:
        """For each target the nearest node, the first of several, and the square of its distance.

        Args:
            targets: m latents, of the dtype of the nodes.
            n_nodes: how many of the tree's nodes there are, at least 1.
        """
        if targets.shape[1] <= SORTED and n_nodes > _UNSORTED:
            self._nodes.trees.catch_up(self._nodes.latents, n_nodes)
            return self._nodes.trees.nearest(targets, self._nodes.latents, n_nodes)
        if self._few_dimensions is not None:
            self._few_dimensions.catch_up(n_nodes)
            return self._on_idle_cores(self._few_dimensions.nearest, targets, n_nodes)
        if self.is_large(n_nodes) and is_worth_it(targets.shape[1]):
            self._rounded = self._rounded or RoundedNodes(self._nodes)
            self._rounded.catch_up(n_nodes)
            return self._on_idle_cores(self._by_rounded_products, targets, n_nodes)
        return self._on_idle_cores(self._by_products, targets, n_nodes)

    def is_large(self, n_nodes: int) -> bool:
        """Whether looking through so many nodes takes long, so that it is better done for many targets at once."""
        return n_nodes * self._nodes.latents.shape[1] >= _LARGE

    def _on_idle_cores(self, search: Search, targets: Float[Array, "m d"], n_nodes: int) -> Nearest:
        """Share the targets among the cores, where there are many nodes to compare them with."""
        is_long = targets.size * n_nodes >= _WORTH_THREADS and (
            self._few_dimensions is not None or self.is_large(n_nodes)
        )
        n_threads = min(idle_cores(), len(targets)) if is_long else 1
        if n_threads < 2:
            return search(targets, n_nodes)
        answers = at_once(lambda share: search(share, n_nodes), np.array_split(targets, n_threads))
        parents, squares = map(np.concatenate, zip(*answers, strict=True))
        return parents, squares

    def _by_rounded_products(self, targets: Float[Array, "m d"], n_nodes: int) -> Nearest:
        assert self._rounded is not None
        shortlist = self._rounded.shortlist(targets, n_nodes, room=_ROOM)
        parents, squares = np.empty(len(targets), np.int64), np.empty(len(targets))
        shortlist.decide(targets, self._nodes.latents, parents, squares)
        if len(rows := shortlist.overfull):
            parents[rows], squares[rows] = self._by_products(targets[rows], n_nodes)
        return parents, squares

    def _by_products(self, targets: Float[Array, "m d"], n_nodes: int) -> Nearest:
        latents, node_squares = self._nodes.latents, self._nodes.squares
        doubled = targets * -2
        slack = np.empty(len(targets), targets.dtype)
        _bound_errors(targets, node_squares[:n_nodes], 8 * (targets.shape[1] + 4) * _EPS[targets.dtype.char], slack)
        shortlist = Shortlist(slack, room=_ROOM)
        for start in range(0, n_nodes, _BLOCK):
            end = min(start + _BLOCK, n_nodes)
            shortlist.add(_products(doubled, latents[start:end]), node_squares[start:end], start)
        parents, squares = np.empty(len(targets), np.int64), np.empty(len(targets))
        shortlist.decide(targets, latents, parents, squares)
        if len(rows := shortlist.overfull):
            nodes, distances = np.zeros(len(rows), np.int64), np.full(len(rows), np.inf)
            compare(targets[rows], np.zeros_like(rows), latents, n_nodes, nodes, distances)
            parents[rows], squares[rows] = nodes, distances
        return parents, squares


def _products(a: Float[Array, "m d"], b: Float[Array, "n d"]) -> Float[Array, "m n"]:
    if torch.get_float32_matmul_precision() != "highest":  # the user lets torch round to bfloat16
        return a @ b.T
    return torch.mm(torch.from_numpy(a), torch.from_numpy(b).T).numpy()


@compiled()
@no_type_check
def _bound_errors(targets, node_squares, scale, slack):
    """Bound how much the rounding errors of two squared distances of each target differ."""
    largest = 0.0
    for node in range(len(node_squares)):
        largest = max(largest, node_squares[node])
    for row in range(len(targets)):
        slack[row] = scale * (square_length(targets[row]) + largest)
