# SPDX-License-Identifier: MIT
"""Halfspaces of units that are affine in the latent, for loops that are compiled and cannot ask torch.

In: halfspaces whose x is the latent itself. Out: a verdict on one latent, by the same bound on rounding errors as
``Halfspaces``: clearly outside, clearly inside, or none. Then the region has to be asked.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from egbas.geometry.length import square_length
from egbas.machine.compiled import compiled
from egbas.region.halfspaces import INSIDE, OUTSIDE, UNCLEAR, Halfspaces
from egbas.region.kept_units import Array


class AffineWalls(NamedTuple):
    """Units as rows of weights: h = <z, row> + offset; see ``Halfspaces``."""

    rows: Float[Array, "k d"]  # float32
    offset: Float[Array, " k"]
    signs: Float[Array, " k"]
    order: Int[NDArray[np.int64], " k"]  # in which they are asked; whoever asks changes it
    rounding: float
    reference: float


def affine_walls(halfspaces: Halfspaces | None) -> AffineWalls | None:
    """The walls, with an order of their own; None where a stem stands between the latent and the units."""
    if halfspaces is None or not halfspaces.units.are_of_the_latent:
        return None
    packed, order = halfspaces.units.packed, halfspaces.orders[0].copy()
    rows = np.ascontiguousarray(packed.rows[:, 0])
    return AffineWalls(rows, packed.offset, halfspaces.signs, order, halfspaces.rounding, halfspaces.reference)


@compiled()
@no_type_check
def verdict_of(z, walls):
    """Say where a latent (d,) in float32 is: ``OUTSIDE``, ``INSIDE``, or ``UNCLEAR``, as where a value is no number."""
    # Once, not for each unit: a look at a tuple counts references of the array.
    rows, offset, signs, order = walls.rows, walls.offset, walls.signs, walls.order
    bound = walls.rounding * (np.sqrt(square_length(z)) + walls.reference)
    verdict = INSIDE if np.isfinite(bound) else UNCLEAR
    for position in range(len(order)):
        unit = order[position]
        margin = signs[unit] * (_product(z, rows, unit) + offset[unit])
        if not np.isfinite(margin):
            return UNCLEAR
        if margin < -bound:
            order[position], order[position // 2] = order[position // 2], unit
            return OUTSIDE
        if margin <= bound:
            verdict = UNCLEAR
    return verdict


@compiled(is_sum=True)
@no_type_check
def _product(z, rows, unit):
    total = np.float32(0.0)  # in the precision of both
    for i in range(np.uint64(len(z))):
        total += z[i] * rows[np.uint64(unit), i]
    return np.float64(total)
