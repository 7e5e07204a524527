# SPDX-License-Identifier: MIT
"""What BerOpt found, and how it ended."""

from dataclasses import dataclass
from enum import Enum

from jaxtyping import Float, Int, Int8
from torch import Tensor

from egbas.beropt.config import BerOptConfig


class BerOptStatus(Enum):
    """How BerOpt ended."""

    CONVERGED = "theta is polarised and the kept set no longer changes"
    MAX_STEPS = "the steps ran out before theta settled; raise max_steps"
    OUT_OF_REACH = "all units of the layer together do not have the level's error; choose a coarser level"
    EMPTY = "no unit has theta above the threshold; lower the sparsity or the threshold"


@dataclass(frozen=True, kw_only=True, eq=False)
class BerOptResult:
    """What BerOpt found.

    Attributes:
        theta: (units,) probability of keeping each unit of the layer.
        units: (k,) int64 indices, in the flattened layer, of the units with theta above the threshold.
        signs: (k,) int8 in {-1, +1}, the sides of their boundaries that the query is on.
        fidelity: ||f_{L:l+1}(h0 * 1[theta > p]) - G(z0)|| / ||G(z0)||; 0 is perfect.
        sampled_fidelity: the same, mean over masks drawn from Ber(theta).
        polarisation: share of the units that can matter whose theta is within 0.05 of 0 or 1.
        losses: (steps,) the loss at every step.
        sizes: (steps,) the expected size of the set, sum(theta), at every step.
        status: how it ended.
        config: the settings it ran with; where there is a level, ``sparsity`` is the weight at which the set and that
            from which it was cut down, or built up, are equally good in eq. 1.
    """

    theta: Float[Tensor, " units"]
    units: Int[Tensor, " k"]
    signs: Int8[Tensor, " k"]
    fidelity: float
    sampled_fidelity: float
    polarisation: float
    losses: Float[Tensor, " steps"]
    sizes: Float[Tensor, " steps"]
    status: BerOptStatus
    config: BerOptConfig

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return len(self.losses)

    @property
    def evaluations(self) -> int:
        """Passes of one mask through the tail, forward and back, that the steps took."""
        assert self.config.masks is not None  # `optimize` settles it
        return self.steps * max(1, self.config.masks)
