# SPDX-License-Identifier: MIT
"""In which order the elements of a tensor stand, seen from another one: what ``permute`` and ``transpose`` change.

An order is read off strides: no tensor is made for it. In: calls that move elements. Out: orders that can be compared,
and put one behind the other, so that a permutation and the one that undoes it cancel.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Order = tuple[tuple[int, int], ...]  # sizes and strides of the dimensions, in which the elements are gone through
SAME: Order = ()  # the order of ``flatten`` is that of the other tensor


def order_of(function: Callable[..., Any], tensor: Tensor, args: Sequence[Any], kwargs: dict[str, Any]) -> Order | None:
    """The order in which a call, such as ``x.permute(0, 2, 1)``, hands on the elements of a tensor.

    Args:
        function: what is called.
        tensor: whose elements are moved; of its shape alone is made use.
        args: of the call, the tensor among them.
        kwargs: the same.

    Returns:
        That order; None where the call does more than to move elements.
    """
    like = torch.empty(tensor.shape, device="meta", dtype=torch.uint8)
    moved = function(
        *(like if value is tensor else value for value in args),
        **{name: like if value is tensor else value for name, value in kwargs.items()},
    )
    return _order(moved) if isinstance(moved, Tensor) and moved.numel() == like.numel() else None


def behind(later: Order, earlier: Order) -> Order | None:
    """The order of elements that are moved twice; None where the two do not fit together."""
    if SAME in (later, earlier):
        return later or earlier
    dims = sorted(later, key=lambda dim: -dim[1])  # of what the later call was given, from the outermost
    if math.prod(size for size, _ in later) != math.prod(size for size, _ in earlier):
        return None
    parts = _common([size for size, _ in dims], [size for size, _ in earlier])
    if parts is None:
        return None
    sizes, strides = zip(*earlier, strict=True)
    layout = torch.empty((), device="meta", dtype=torch.uint8).as_strided(sizes, strides)
    split = layout.view([size for part in parts for size in part])  # each dimension of the later call in its parts
    starts = [0, *itertools.accumulate(len(part) for part in parts)]
    places = {dim: range(starts[at], starts[at + 1]) for at, dim in enumerate(dims)}
    return _order(split.permute([place for dim in later for place in places[dim]]))


def _order(tensor: Tensor) -> Order | None:
    """The order of a tensor's elements in memory; None where it leaves some out, or has some twice."""
    dims: list[tuple[int, int]] = []
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        if size == 1:
            continue
        if dims and dims[-1][1] == size * stride:  # the two are one
            dims[-1] = dims[-1][0] * size, stride
        else:
            dims.append((size, stride))
    step = 1
    for size, stride in sorted(dims, key=lambda dim: dim[1]):
        if stride != step:
            return None
        step *= size
    return SAME if len(dims) < 2 else tuple(dims)


def _common(sizes: Sequence[int], others: Sequence[int]) -> list[list[int]] | None:
    """Each of some sizes as a product of sizes that others are products of, too; None where there are none."""

    def ends(of: Sequence[int]) -> list[int]:  # how many elements lie behind each dimension
        return list(itertools.accumulate(reversed(of), lambda n, size: n * size, initial=1))

    steps = sorted({*ends(sizes), *ends(others)})
    if any(larger % smaller for smaller, larger in itertools.pairwise(steps)):
        return None
    behind_it = ends(sizes)[::-1]
    parts: list[list[int]] = []
    for first, last in itertools.pairwise(behind_it):
        within = [n for n in reversed(steps) if last <= n <= first]
        parts.append([larger // smaller for larger, smaller in itertools.pairwise(within)])
    return parts
