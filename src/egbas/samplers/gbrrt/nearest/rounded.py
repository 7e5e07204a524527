# SPDX-License-Identifier: MIT
"""Nearest nodes in many dimensions, by products of latents that are rounded to 8 bits.

They take a quarter of the time of float32's on processors that multiply such numbers (AVX-512 VNNI, AMX). Each latent
has a scale of its own. By how much rounding can change a distance is known: the length of what it takes off is. Nodes
that may be the nearest within that are told apart by ``square_distance``, as everywhere, so that the tree is the same.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int8
from numpy.typing import NDArray
from torch import Tensor

from egbas.machine.compiled import compiled
from egbas.samplers.gbrrt.nearest.shortlist import Shortlist
from egbas.samplers.gbrrt.window import Array, Nodes

_BLOCK = 4096  # nodes whose products with a window of targets stay in the processor's cache
_EPS = float(np.finfo(np.float32).eps)
_N_TARGETS, _N_TRIES, _WORTH = 64, 8, 1.5
_int_mm: Any = getattr(torch, "_int_mm", None)  # a name of torch that other versions may lack


class Rounded(NamedTuple):
    """Latents around the query as ``scales * numbers``, and what is left."""

    numbers: Int8[NDArray[np.int8], "n d"]
    scales: Float[NDArray[np.float32], " n"]
    squares: Float[NDArray[np.float32], " n"]  # of their distances from the query, not rounded to 8 bits
    lengths: Float[NDArray[np.float32], " n"]  # these distances
    rests: Float[NDArray[np.float32], " n"]  # lengths of what rounding takes off, as a share of these distances

    @classmethod
    def empty(cls, n: int, d: int) -> "Rounded":
        """Room for n latents."""
        return cls(np.empty((n, d), np.int8), *(np.empty(n, np.float32) for _ in range(4)))


class RoundedNodes:
    """The nodes of a tree in 8 bits."""

    def __init__(self, nodes: Nodes) -> None:
        """Take the tree, as it grows."""
        self._nodes, self._rounded = nodes, Rounded.empty(*nodes.latents.shape)
        self._largest_rest = self._longest = 0.0
        self._n_rounded = 0

    def catch_up(self, n_nodes: int) -> None:
        """Take up the nodes that were added, of which there are so many now."""
        _round(self._nodes.latents, self._nodes.latents[0], self._n_rounded, n_nodes, self._rounded)
        new = slice(self._n_rounded, n_nodes)
        self._largest_rest = max(self._largest_rest, float(self._rounded.rests[new].max(initial=0.0)))
        self._longest = max(self._longest, float(self._rounded.lengths[new].max(initial=0.0)))
        self._n_rounded = n_nodes

    def shortlist(self, targets: Float[Array, "m d"], n_nodes: int, *, room: int) -> Shortlist:
        """The nodes that may be the nearest to each target, of those that were taken up.

        Args:
            targets: (m, d).
            n_nodes: how many nodes there are.
            room: for so many of each target.
        """
        asked, nodes = Rounded.empty(*targets.shape), self._rounded
        _round(targets, self._nodes.latents[0], 0, len(targets), asked)
        # For a' and b' in place of a and b: |ab - a'b'| <= |a - a'| |b| + |a'| |b - b'|. Twice that is off a squared
        # distance, without a's own square, which is the same for all nodes. What float32 rounds is added. All of it
        # is at most as many times the length of b.
        share = asked.rests + (1 + asked.rests) * self._largest_rest
        width = float((2.02 * share * asked.lengths + 32 * _EPS * (asked.lengths + self._longest)).max())
        shortlist = Shortlist(np.zeros(len(targets), np.float32), room=room)
        for start in range(0, n_nodes, _BLOCK):
            block = slice(start, min(start + _BLOCK, n_nodes))
            products = _product(torch.from_numpy(asked.numbers), torch.from_numpy(nodes.numbers[block])).numpy()
            errors = np.float32(width) * nodes.lengths[block]
            shortlist.add_rounded(products, -2 * asked.scales, nodes.scales[block], nodes.squares[block], errors, start)
        return shortlist


@compiled()
@no_type_check
def _round(latents, query, first, end, into):
    """Round latents from one to another."""
    away = np.empty(len(query))
    for row in range(first, end):
        largest = square = rest = 0.0
        for i in range(len(away)):
            away[i] = np.float64(latents[row, i]) - np.float64(query[i])
            largest = max(largest, abs(away[i]))
            square += away[i] * away[i]
        scale = np.float32(largest / 127 if largest > 0 else 1.0)
        inverse = 1 / np.float64(scale)
        for i in range(len(away)):
            number = min(max(np.rint(away[i] * inverse), -127.0), 127.0)
            into.numbers[row, i] = np.int8(number)
            gap = away[i] - number * scale
            rest += gap * gap
        into.scales[row], into.squares[row], into.lengths[row] = scale, square, np.sqrt(square)
        into.rests[row] = 1.0001 * np.sqrt(rest / square) if square > 0 else 0.0


@functools.cache
def is_worth_it(d: int) -> bool:
    """Whether this processor multiplies 8-bit numbers much faster than float32; told by a few tries, in milliseconds.

    Args:
        d: coordinates.
    """
    rounded = torch.ones(_BLOCK, d, dtype=torch.int8), torch.ones(_N_TARGETS, d, dtype=torch.int8)
    exact = rounded[0].float(), rounded[1].float()
    try:
        fast = _seconds(lambda: _product(rounded[1], rounded[0]))
    except (RuntimeError, TypeError):  # this torch has no such product on a processor
        return False
    return _WORTH * fast < _seconds(lambda: torch.mm(exact[1], exact[0].T))


def _product(a: Tensor, b: Tensor) -> Tensor:
    """A b^T of 8-bit numbers (m, d) and (n, d): int32 (m, n)."""
    return _int_mm(a, b.T)


def _seconds(run: Callable[[], object]) -> float:
    best = np.inf
    for _ in range(_N_TRIES):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best
