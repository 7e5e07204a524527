# SPDX-License-Identifier: MIT
"""Nodes of large trees rounded to whole numbers of 8 bits, whose products take a fraction of the time.

A latent is a = c + s p + e: the query c, whole numbers p, the step s between them and what rounding left, e. With the
lengths of all e at hand, ab is known from the product of the whole numbers up to |e_a| |b| + |s p_a| |e_b| (Cauchy and
Schwarz). Of uniformly spread nodes only a few are the nearest within that bound.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int, Int8
from torch import Tensor

from egbas.machine.compiled import compiled
from egbas.samplers.gbrrt.nearest.shortlist import Shortlist
from egbas.samplers.gbrrt.window import Array, Nodes

_BLOCK = 1024  # nodes whose products with a window of targets stay in the processor's cache
_ROOM = 1024  # nodes for each target: so many are compared with it in a third of the time of the products
_LARGEST = 127
_EPS = float(np.finfo(np.float32).eps)


class Rounded:
    """The rounded nodes of one tree, which grows."""

    def __init__(self, nodes: Nodes, n_nodes: int, targets: Float[Array, "m d"]) -> None:
        """Choose the steps: by these targets, and by the nodes there are, with room for them to come further."""
        self._nodes, (n, d) = nodes, nodes.latents.shape
        self._centre = nodes.latents[0].copy()
        reach = _reach(nodes.latents[:n_nodes], self._centre)
        self._step, self._node_step = _step(_reach(targets, self._centre)), _step(1.2 * reach)
        self._values, self._squares = np.empty((n, d), np.int8), np.empty(n, np.float32)
        self._n = 0
        self._longest = self._largest_error = 0.0  # of all nodes: |b - c| and |e_b|

    def shortlist(self, targets: Float[Array, "m d"], n_nodes: int) -> Shortlist:
        """The nodes that may be the nearest to each target, of nodes that were taken up."""
        values, squares = np.empty(targets.shape, np.int8), np.empty(len(targets), np.float32)
        errors = np.empty(len(targets), np.float32)
        _round(targets, self._centre, self._step, values, squares, errors)
        lengths = np.sqrt(squares.astype(np.float64)) * (1 + _EPS)
        product_error = errors * self._longest + (lengths + errors) * self._largest_error
        rounding = 4 * _EPS * (self._longest**2 + 2 * (lengths + errors) * (self._longest + self._largest_error))
        short = Shortlist(((1 + _EPS) * 2 * (2 * product_error + rounding)).astype(np.float32), room=_ROOM)
        scale, whole = torch.tensor(-2 * self._step * self._node_step, dtype=torch.float32), torch.from_numpy(values)
        for start in range(0, n_nodes, _BLOCK):
            end = min(start + _BLOCK, n_nodes)
            products = _products(whole, torch.from_numpy(self._values[start:end]))
            short.look((products * scale).numpy(), self._squares[start:end], start)
        return short

    def catch_up(self, n_nodes: int) -> None:
        """Take up the nodes that were added, of which there are so many now."""
        new = slice(self._n, n_nodes)
        latents = self._nodes.latents[new]
        if not len(latents):
            return
        errors = np.empty(len(latents), np.float32)
        _round(latents, self._centre, self._node_step, self._values[new], self._squares[new], errors)
        self._longest = max(self._longest, float(np.sqrt(self._squares[new].max())) * (1 + _EPS))
        self._largest_error = max(self._largest_error, float(errors.max()))
        self._n = n_nodes


@cache
def pays(d: int) -> bool:
    """Whether products of whole numbers are right and faster here than those of float32, in d dimensions; once."""
    whole, nodes = (torch.full((n, d), _LARGEST, dtype=torch.int8) for n in (64, _BLOCK))
    values, node_values = whole.float(), nodes.float()
    try:
        if not bool((_products(whole, nodes) == d * _LARGEST**2).all()):  # the largest; some kernels cut sums off
            return False
        of_whole = _seconds(lambda: _products(whole, nodes))
        return 1.5 * of_whole < _seconds(lambda: torch.mm(values, node_values.T))
    except (AttributeError, RuntimeError):  # another version of torch, or a processor that cannot
        return False


def _step(reach: float) -> float:
    """Between the whole numbers, where latents go so far."""
    return max(reach, float(np.finfo(np.float32).tiny)) / _LARGEST


def _products(a: Int8[Tensor, "m d"], b: Int8[Tensor, "n d"]) -> Int[Tensor, "m n"]:
    return torch._int_mm(a, b.T)  # pyright: ignore[reportPrivateImportUsage]


def _seconds(run: Callable[[], Tensor]) -> float:
    times = []
    for _ in range(4):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


@compiled()
@no_type_check
def _reach(latents, centre):
    """How far latents go from the centre, in any coordinate."""
    farthest = np.zeros_like(centre)
    for row in range(len(latents)):
        for i in range(len(centre)):
            farthest[i] = max(farthest[i], abs(latents[row, i] - centre[i]))
    return float(farthest.max())


@compiled(is_sum=True)
@no_type_check
def _round(latents, centre, step, values, squares, errors):
    """Round latents; beside them the squares of their lengths and upper bounds on the lengths of what is left."""
    for row in range(len(latents)):
        square = rest = 0.0
        for i in range(len(centre)):
            gap = np.float64(latents[row, i]) - np.float64(centre[i])
            whole = min(max(np.rint(gap / step), -_LARGEST), _LARGEST)
            values[row, i] = np.int8(whole)
            square += gap * gap
            rest += (gap - step * whole) ** 2
        squares[row] = square
        errors[row] = np.sqrt(rest) * (1 + 1e-6)
