# SPDX-License-Identifier: MIT
"""GB-RRT (Jeon et al. 2020, Algorithm 2): a rapidly-exploring random tree that stays in a generative region."""

from egbas.samplers.gbrrt.config import GbRrtConfig
from egbas.samplers.gbrrt.extent import exit_distances, with_automatic
from egbas.samplers.gbrrt.growth import Growth, Progress, grow
from egbas.samplers.gbrrt.many import grow_many
from egbas.samplers.gbrrt.sampler import TreeSampler
from egbas.samplers.gbrrt.tree import OUTSIDE, TOO_CLOSE, GbRrtStatus, Tree

__all__ = [
    "OUTSIDE",
    "TOO_CLOSE",
    "GbRrtConfig",
    "GbRrtStatus",
    "Growth",
    "Progress",
    "Tree",
    "TreeSampler",
    "exit_distances",
    "grow",
    "grow_many",
    "with_automatic",
]
