# SPDX-License-Identifier: MIT
"""The rival that the paper describes: Algorithm 2 line by line, one candidate a forward pass of the whole head."""

import torch
from torch import Tensor

from benchmarks.problems import Problem
from egbas.region import SupportingRegion
from egbas.samplers.gbrrt import Tree
from egbas.samplers.gbrrt.algorithm_2 import grow_literally as algorithm_2


class WholeHead:
    """A supporting region as the paper tests it: all units of the layer, in the network's own precision."""

    def __init__(self, region: SupportingRegion) -> None:
        """Take the region's units and signs."""
        self._head, self._units, self._signs = region.split.head, region.units, region.signs

    def contains(self, z: Tensor) -> Tensor:
        """Say which latents (n, d) lie in the region: bool (n,)."""
        return (self._head(z)[:, self._units] * self._signs >= 0).all(dim=1)


def grow_literally(problem: Problem) -> Tree:
    """Grow the tree."""
    region = WholeHead(problem.region)
    return algorithm_2(problem.query, region, problem.config, rng=problem.targets(), geometry=problem.geometry)


def is_same(tree: Tree, literal: Tree) -> bool:
    """Whether both trees have the same edges, and nodes within rounding."""
    return torch.equal(tree.parents, literal.parents) and torch.allclose(
        tree.latents, literal.latents, rtol=0, atol=1e-4
    )
