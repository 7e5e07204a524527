# SPDX-License-Identifier: MIT
"""Nearest nodes in few dimensions: all distances, computed for many nodes at once."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from egbas.machine.compiled import compiled
from egbas.samplers.gbrrt.distance import square_distance
from egbas.samplers.gbrrt.window import Array, Nodes

_CHUNK = 256  # nodes looked at together


class FewDimensions:
    """The nodes of a tree, coordinate by coordinate."""

    def __init__(self, nodes: Nodes) -> None:
        """Take the tree, as it grows."""
        self._nodes = nodes
        self._coordinates = np.empty(nodes.latents.shape[::-1], nodes.latents.dtype)  # (d, n)
        self._n_copied = 0

    def catch_up(self, n_nodes: int) -> None:
        """Take up the nodes that were added, of which there are so many now."""
        new = slice(self._n_copied, n_nodes)
        self._coordinates[:, new] = self._nodes.latents[new].T
        self._n_copied = n_nodes

    def nearest(
        self, targets: Float[Array, "m d"], n_nodes: int
    ) -> tuple[Int[NDArray[np.int64], " m"], Float[NDArray[np.float64], " m"]]:
        """As ``NearestNodes`` answers, of nodes that were taken up."""
        info = np.finfo(targets.dtype)
        # A squared distance is a sum of d squared differences, each with an error of an eps or two, or less than tiny.
        relative, absolute = 4 * (targets.shape[1] + 4) * float(info.eps), 4 * targets.shape[1] * float(info.tiny)
        return _search(targets, self._nodes.latents, self._coordinates, n_nodes, relative, absolute)


@compiled()
@no_type_check
def _search(targets, latents, coordinates, n_nodes, relative, absolute):
    parents, squares = np.zeros(len(targets), np.int64), np.full(len(targets), np.inf)
    rough = np.empty(_CHUNK, targets.dtype)
    for row in range(len(targets)):
        target, limit = targets[row], np.inf
        for begin in range(0, n_nodes, _CHUNK):
            end = min(begin + _CHUNK, n_nodes)
            _fill(target, coordinates, begin, end, rough)
            if not _any_within(rough[: end - begin], rough.dtype.type(limit)):
                continue
            for node in range(begin, end):
                if rough[node - begin] > limit:
                    continue
                square = square_distance(target, latents[node])
                if square < squares[row]:
                    parents[row], squares[row] = node, square
                    limit = square * (1 + relative) + absolute
    return parents, squares


@compiled(is_sum=True)
@no_type_check
def _fill(target, coordinates, begin, end, rough):
    """Squared distances from a chunk of nodes, in the precision of the latents."""
    for j in range(end - begin):
        rough[j] = 0
    for i in range(len(target)):
        x, values = target[i], coordinates[i, begin:end]
        for j in range(len(values)):
            gap = x - values[j]
            rough[j] += gap * gap


@compiled()
@no_type_check
def _any_within(rough, limit):
    """Whether one of them is within the limit; counted, since that runs on vectors."""
    n = 0
    for j in range(len(rough)):
        n += rough[j] <= limit
    return n > 0
