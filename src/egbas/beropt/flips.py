# SPDX-License-Identifier: MIT
"""Sets of units beside a set: with one unit on its other side, or with the first so many; and their distances."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Distance = Callable[[Tensor], Tensor]  # relative distances (masks,) of masks (masks, units)

_MASKS = 16  # in memory at a time


def each_flipped(kept: Bool[Tensor, " units"], units: Int[Tensor, " n"]) -> Bool[Tensor, "n units"]:
    """Sets in which one unit each is flipped."""
    sets = kept.repeat(len(units), 1)
    sets[torch.arange(len(units)), units] ^= True
    return sets


def first_flipped(
    kept: Bool[Tensor, " units"], order: Int[Tensor, " n"], counts: Sequence[int]
) -> Bool[Tensor, "sets units"]:
    """Sets in which the first so many units are flipped."""
    sets = kept.repeat(len(counts), 1)
    for row, count in enumerate(counts):
        sets[row, order[:count]] ^= True
    return sets


def doublings(n: int) -> list[int]:
    """1, 2, 4 and so on up to n, and n itself."""
    return sorted({min(2**k, n) for k in range(n.bit_length() + 1)})


@torch.no_grad()
def errors_of(sets: Bool[Tensor, "sets units"], distance: Distance) -> Float[Tensor, " sets"]:
    """The distances of sets, some at a time."""
    return torch.cat([distance(some.float()) for some in sets.split(_MASKS)])
