# SPDX-License-Identifier: MIT
"""What GB-RRT grows, and what it asks of a region."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int, Int8
from torch import Tensor

OUTSIDE, TOO_CLOSE = 1, 2  # reasons for a rejection, as stored in run directories


class GbRrtStatus(Enum):
    """How the tree's growth ended."""

    COMPLETED = "all iterations were done"
    NOTHING_ACCEPTED = "no candidate was accepted; lower the step size"


@runtime_checkable
class ContainsLatents(Protocol):
    """What GB-RRT needs of a region."""

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Say which latents lie in the region."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """What GB-RRT grew.

    Attributes:
        latents: (n, d) nodes, the query first, in the order they were added.
        parents: (n,) int64 index of each node's parent, smaller than its own; -1 for the query.
        rejected: (r, d) candidates that were not added.
        rejected_reason: (r,) int8, 1 outside the region, 2 closer than the step size to another node.
        evaluations: latents that went through the region's membership test.
        rounds: membership calls that they went in.
        step_size: delta, in latent units.
        half_width: I, in latent units.
        status: how the growth ended.
    """

    latents: Float[Tensor, "n d"]
    parents: Int[Tensor, " n"]
    rejected: Float[Tensor, "r d"]
    rejected_reason: Int8[Tensor, " r"]
    evaluations: int
    rounds: int
    step_size: float
    half_width: float
    status: GbRrtStatus

    @property
    def acceptance(self) -> float:
        """Share of the iterations that added a node, 0..1."""
        return (len(self.latents) - 1) / (len(self.latents) - 1 + len(self.rejected))
