# SPDX-License-Identifier: MIT
"""What can be said of samples without their images: how many lie in the region, and what the search for them cost."""

from torch import Tensor

from egbas.exploration.result import Exploration
from egbas.region import Region


def share_in_region(region: Region, latents: Tensor) -> float:
    """Measure which share of the samples lies in the region of E-GBAS, 0..1; 1 for its own by construction.

    Args:
        region: the region.
        latents: (n, d), n >= 1.
    """
    return region.contains(latents).double().mean().item()


def search_evaluations(run: Exploration) -> int:
    """Count what the search for samples cost, in passes of one latent or mask through the head or the tail.

    Masks that BerOpt sent through the tail, forward and back, and latents that GB-RRT sent through the head. The
    paper's balls need their exploration too, for its rejected samples; radius-matched needs it for the radii.
    """
    return run.support.beropt.evaluations + run.grown.evaluations
