# SPDX-License-Identifier: MIT
"""BerOpt (Jeon et al. 2020, Algorithm 1): the smallest supporting set of a layer, by an optimised Bernoulli mask."""

from egbas.beropt.config import BerOptConfig, error_of
from egbas.beropt.optimize import default_masks, expected_steps, optimize, optimize_levels
from egbas.beropt.result import BerOptResult, BerOptStatus
from egbas.beropt.weight import largest_search

__all__ = [
    "BerOptConfig",
    "BerOptResult",
    "BerOptStatus",
    "default_masks",
    "error_of",
    "expected_steps",
    "largest_search",
    "optimize",
    "optimize_levels",
]
