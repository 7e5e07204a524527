# SPDX-License-Identifier: MIT
"""What GB-RRT grows."""

from dataclasses import dataclass
from enum import StrEnum

from jaxtyping import Float, Int, Int8
from torch import Tensor

from egbas.samplers.contract import Samples

OUTSIDE, TOO_CLOSE = 1, 2  # reasons for a rejection, as stored in run directories


class GbRrtStatus(StrEnum):
    """How the tree's growth ended."""

    COMPLETED = "COMPLETED"
    NOTHING_ACCEPTED = "NOTHING_ACCEPTED"

    @property
    def sentence(self) -> str:
        """What it means."""
        return _SENTENCES[self]


_SENTENCES = {
    GbRrtStatus.COMPLETED: "all iterations were done",
    GbRrtStatus.NOTHING_ACCEPTED: "no candidate was accepted; lower the step size",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree(Samples):
    """What GB-RRT grew.

    Attributes:
        latents: (n, d) nodes, the query first, in the order they were added.
        parents: (n,) int64 index of each node's parent, smaller than its own; -1 for the query.
        rejected: (r, d) candidates that were not added.
        rejected_reason: (r,) int8, 1 outside the region, 2 closer than the step size to another node.
        rounds: membership calls that the latents went in.
        step_size: delta, in latent units.
        half_width: I, in latent units.
        status: a ``GbRrtStatus``.
    """

    parents: Int[Tensor, " n"]
    rejected: Float[Tensor, "r d"]
    rejected_reason: Int8[Tensor, " r"]
    rounds: int
    step_size: float
    half_width: float

    @property
    def drawn(self) -> Float[Tensor, "n d"]:
        """The nodes but the query."""
        return self.latents[1:]

    @property
    def iterations(self) -> int:
        """How many candidates were tried."""
        return len(self.latents) - 1 + len(self.rejected)

    @property
    def acceptance(self) -> float:
        """Share of the iterations that added a node, 0..1."""
        return (len(self.latents) - 1) / self.iterations
