# SPDX-License-Identifier: MIT
"""The next targets, each with the node that is nearest to it.

Nodes are looked through for many targets at once, before their turn: then a large tree comes from memory once for all
of them. When a target's turn comes, the nodes that were added since are the only ones left to compare it with.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from egbas.samplers.gbrrt.distance import compare
from egbas.samplers.gbrrt.nearest.search import NearestNodes
from egbas.samplers.gbrrt.targets import Targets
from egbas.samplers.gbrrt.window import Array, Nodes

_AHEAD, _FAR_AHEAD = 64, 256  # targets; far ahead where the tree is large


class Lookahead:
    """The next targets of a tree."""

    def __init__(self, targets: Targets, nodes: Nodes) -> None:
        """Start with none."""
        self._targets, self._nodes, self._nearest = targets, nodes, NearestNodes(nodes)
        self._latents = nodes.latents[:0]
        self._parents, self._squares = np.empty(0, np.int64), np.empty(0)
        self._n_seen = np.empty(0, np.int64)  # nodes that each was compared with

    def take(
        self, n: int, n_nodes: int
    ) -> tuple[Float[Array, "m d"], Int[NDArray[np.int64], " m"], Float[NDArray[np.float64], " m"]]:
        """The next n targets, or those that are left, their nearest nodes and the squares of the distances.

        Args:
            n: how many.
            n_nodes: how many nodes there are.
        """
        ahead = _FAR_AHEAD if self._nearest.is_large(n_nodes) else _AHEAD
        while len(self._latents) < n and len(new := self._targets.draw(ahead).numpy()):
            parents, squares = self._nearest(new, n_nodes)
            n_seen = np.full(len(new), n_nodes)
            if len(self._latents):
                self._latents = np.concatenate([self._latents, new])
                self._parents = np.concatenate([self._parents, parents])
                self._squares = np.concatenate([self._squares, squares])
                self._n_seen = np.concatenate([self._n_seen, n_seen])
            else:
                self._latents, self._parents, self._squares, self._n_seen = new, parents, squares, n_seen
        if not n:
            return self._latents[:0], self._parents[:0], self._squares[:0]
        latents, parents, squares = self._latents[:n], self._parents[:n], self._squares[:n]
        compare(latents, self._n_seen, self._nodes.latents, n_nodes, parents, squares)
        self._latents, self._parents = self._latents[n:], self._parents[n:]
        self._squares, self._n_seen = self._squares[n:], self._n_seen[n:]
        return latents, parents, squares
