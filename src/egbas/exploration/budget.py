# SPDX-License-Identifier: MIT
"""How many latents an exact sampler may ask about where the user does not say.

By operations counted and not by seconds measured: the same network has the same bound on every machine.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from egbas.region import Precisions

_MOST, _FEWEST = 500_000, 5_000  # evaluations
_OPERATIONS = 1e13  # of all evaluations together: some minutes on two cores


def largest_budget(precisions: Precisions | None) -> int:
    """The bound for a layer; that for a region of the user's own, whose cost is not known, is the largest.

    Args:
        precisions: the network split at the layer; None for a region of the user's own.
    """
    if precisions is None:
        return _MOST
    counter = FlopCounterMode(display=False)
    with counter:
        precisions.split.head(torch.ones(1, precisions.split.latent_size))
    return int(max(_FEWEST, min(_MOST, _OPERATIONS / max(counter.get_total_flops(), 1))))
