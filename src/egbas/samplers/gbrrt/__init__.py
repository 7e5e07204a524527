# SPDX-License-Identifier: MIT
"""GB-RRT (Jeon et al. 2020, Algorithm 2): a rapidly-exploring random tree that stays in a generative region.

``algorithm_2`` is the algorithm on one page; read it first. ``growth`` grows the same tree many iterations at a time,
``many`` many trees side by side, and ``sampler`` stands between a tree and an exploration.
"""

from egbas.samplers.gbrrt.algorithm_2 import grow_literally
from egbas.samplers.gbrrt.config import GbRrtConfig
from egbas.samplers.gbrrt.extent import check_step_size, exit_distances, with_automatic
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
    "check_step_size",
    "exit_distances",
    "grow",
    "grow_literally",
    "grow_many",
    "with_automatic",
]
