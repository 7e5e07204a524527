# SPDX-License-Identifier: MIT
"""The settings of BerOpt, and its levels: how faithful a set is to be at the query, the same for all models and layers.

Level 1 is the coarsest, with a relative error of 0.5 at most, level 8 the finest, with 0.03; between them the error
falls by the same factor from one level to the next. No torch here: the command line shows these numbers in its help.
"""

import math
import re
from dataclasses import dataclass

from egbas.errors import ConfigError

COARSEST, FINEST = 1, 8
DEFAULT_LEVEL = 6
_LARGEST, _SMALLEST = 0.5, 0.03  # relative errors at the query
UNIT, CHANNEL = "unit", "channel"
_PATCH = re.compile(r"patch:([1-9]\d{0,5})")


def error_of(level: int) -> float:
    """The relative error ||f_{L:l+1}(h0 * 1[theta > p]) - G(z0)|| / ||G(z0)|| that a level allows.

    Args:
        level: 1 to 8.

    Raises:
        ConfigError: there is no such level.
    """
    if isinstance(level, bool) or not (isinstance(level, int) and COARSEST <= level <= FINEST):
        raise ConfigError(f"got level {level!r}; expected a whole number from {COARSEST} (coarse) to {FINEST} (fine)")
    return _LARGEST * (_SMALLEST / _LARGEST) ** ((level - COARSEST) / (FINEST - COARSEST))


def patch_side(units: str) -> int | None:
    """The side N of the patches that ``units="patch:N"`` means; None where no patches are meant.

    Args:
        units: as in ``BerOptConfig``.

    Raises:
        ConfigError: it says nothing that egbas knows.
    """
    patch = _PATCH.fullmatch(units) if isinstance(units, str) else None
    if patch is None and units not in (UNIT, CHANNEL):
        raise ConfigError(f"BerOpt's units are {units!r}; expected 'unit', 'channel' or 'patch:N', such as 'patch:2'")
    return int(patch[1]) if patch else None


@dataclass(frozen=True, kw_only=True)
class BerOptConfig:
    """Settings of BerOpt; one default serves every layer and model, because the loss is relative.

    Attributes:
        sparsity: weight of mean(theta) against the relative distance; lambda = sparsity * ||G(z0)|| / D_l. > 0. Where
            there is a level it follows from that, and what is given is not used.
        level: how faithful the set is to be at the query, 1 (coarse) to 8 (fine), ``egbas.error_of(level)``; None: the
            sparsity decides how many units are kept.
        units: what is kept or left out as one. ``"unit"``: single units, as in the paper; ``"channel"``: the active
            units of a channel; ``"patch:N"``: those of N x N positions, in all channels. A group shares one theta.
        threshold: p; units with theta above it form the supporting set. In (0, 1).
        masks: Bernoulli masks a step, >= 1; 0: none, theta itself is the mask, so that no seed decides the set; None:
            4, or 1 where an image has more than 100,000 values (256 x 256 in colour), for which a step takes most of a
            second on a processor.
        initial_theta: where every theta starts. From 0.5, layer 1 of a 2-D latent loses all its units to the L1 term
            before the masks have shown which of them matter; well above it the set shrinks from the side of
            faithful images. In (0, 1).
        learning_rate: of Adam on the logits of theta, at the start; falls along a cosine to a tenth. > 0.
        temperatures: of the relaxed Bernoulli masks, at the start and after the annealing. > 0.
        anneal_steps: steps over which temperature and learning rate fall. >= 1.
        max_steps: bound on all steps; those after the annealing wait for convergence. >= anneal_steps.
    """

    sparsity: float = 1.0
    level: int | None = None
    units: str = UNIT
    threshold: float = 0.5
    masks: int | None = None
    initial_theta: float = 0.75
    learning_rate: float = 0.3
    temperatures: tuple[float, float] = (1.0, 0.1)
    anneal_steps: int = 400
    max_steps: int = 1500

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("sparsity", "learning_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"BerOpt's {name} is {value}; it must be a positive number")
        for name in ("threshold", "initial_theta"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ConfigError(f"BerOpt's {name} is {value}; it must lie between 0 and 1, for example 0.5")
        if self.level is not None:
            error_of(self.level)
        patch_side(self.units)
        if self.masks is not None and self.masks < 0:
            raise ConfigError(f"BerOpt's masks are {self.masks}; give at least 1, or 0 for none")
        if self.anneal_steps < 1:
            raise ConfigError(f"BerOpt's anneal_steps are {self.anneal_steps}; they must be at least 1")
        if self.max_steps < self.anneal_steps:
            raise ConfigError(f"BerOpt's max_steps ({self.max_steps}) is below its anneal_steps ({self.anneal_steps})")
        if len(self.temperatures) != 2 or not all(math.isfinite(t) and t > 0 for t in self.temperatures):
            raise ConfigError(f"BerOpt's temperatures are {self.temperatures}; they must be two positive numbers")
