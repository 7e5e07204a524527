# SPDX-License-Identifier: MIT
"""Which latents lie in the halfspaces of some units (Definitions 2 and 3), decided unit by unit.

In: the units, computed without the others (``KeptUnits``), and how exact they are. Out: for each latent that it is
clearly outside, clearly inside, or too close to a boundary for the network's precision to say. Most latents that are
outside are seen to be by the first few units: those that have turned others away stand in front.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int8
from numpy.typing import NDArray
from torch import Tensor

from egbas.geometry.length import square_length
from egbas.machine.compiled import compiled
from egbas.machine.threads import at_once
from egbas.region.kept_units import Array, KeptUnits, unit_value

OUTSIDE, INSIDE, UNCLEAR, NOT_FINITE = 0, 1, 2, 3  # in the order of how much is left to do
_SAFETY = 8.0
_WORTH_A_THREAD = 50_000_000  # multiplications, of which most are not done


@dataclass(frozen=True, kw_only=True, eq=False)
class Halfspaces:
    """The halfspaces of some units on one side each.

    Attributes:
        units: that bound them.
        signs: (k,) V^i in {-1, +1}.
        rounding: bound on the error of a unit's pre-activation, relative to the size of x.
        reference: added to the norm of x, which it makes the size of: an error does not vanish with x.
        orders: one array (k,), in which the units are asked; every call replaces it by another, and no answer
            depends on it.
    """

    units: KeptUnits
    signs: Float[NDArray[np.float64], " k"]
    rounding: float
    reference: float
    orders: list[NDArray[np.int64]]

    @classmethod
    def measured(cls, units: KeptUnits, signs: Tensor, probes: Tensor, exact: Tensor) -> "Halfspaces":
        """Measure how exact the units are.

        Args:
            units: that bound the halfspaces.
            signs: (k,) int8.
            probes: (n, d) latents.
            exact: (n, k) the units' pre-activations there, in float64.
        """
        x = units.stem(probes)
        norms = np.linalg.norm(x.reshape(len(x), -1).astype(np.float64), axis=1)
        reference = float(norms.max())
        errors = np.abs(units.values(x) - exact.numpy()).max(axis=1)
        return cls(
            units=units,
            signs=signs.cpu().double().numpy(),
            rounding=float(_SAFETY * (errors / np.maximum(norms + reference, np.finfo(np.float64).tiny)).max()),
            reference=reference,
            orders=[np.arange(len(signs))],
        )

    def judge(self, x: Float[Array, "n h w_c"]) -> tuple[Int8[NDArray[np.int8], " n"], int]:
        """Say of each x where its latent is: ``OUTSIDE``, ``INSIDE``, ``UNCLEAR``, or ``NOT_FINITE``.

        Returns:
            These, and the largest of them.
        """
        verdicts = np.empty(len(x), np.int8)
        if len(x) * self._work < _WORTH_A_THREAD or torch.get_num_threads() == 1:
            return verdicts, self._judge(x, verdicts)
        n_chunks = min(len(x), torch.get_num_threads())
        chunks = zip(np.array_split(x, n_chunks), np.array_split(verdicts, n_chunks), strict=True)  # views of both
        return verdicts, max(at_once(lambda chunk: self._judge(*chunk), list(chunks)))

    @cached_property
    def _work(self) -> int:
        """Multiplications for one x at most."""
        return int((self.units.packed.height * self.units.packed.width).sum())

    def _judge(self, x: Float[Array, "n h w_c"], verdicts: NDArray[np.int8]) -> int:
        order = self.orders[0].copy()  # each thread has its own; whichever is done last leaves it for the next call
        largest = _judge(x, self.units.packed, self.signs, order, self.rounding, self.reference, verdicts)
        self.orders[0] = order
        return largest


@compiled()
@no_type_check
def _judge(x, packed, signs, order, rounding, reference, verdicts):  # noqa: PLR0913, PLR0917
    largest = OUTSIDE
    for i in range(len(x)):
        bound = rounding * (np.sqrt(_square_norm(x[i])) + reference)
        verdicts[i] = INSIDE if np.isfinite(bound) else NOT_FINITE
        for position in range(len(order) if np.isfinite(bound) else 0):
            unit = order[position]
            margin = signs[unit] * unit_value(x[i], packed, unit)
            if not np.isfinite(margin):
                verdicts[i] = NOT_FINITE
                break
            if margin < -bound:
                verdicts[i] = OUTSIDE
                order[position], order[position // 2] = order[position // 2], unit
                break
            if margin <= bound:
                verdicts[i] = UNCLEAR
        largest = max(largest, verdicts[i])
    return largest


@compiled()
@no_type_check
def _square_norm(x):
    total = 0.0
    for row in range(len(x)):
        total += square_length(x[row])
    return total
