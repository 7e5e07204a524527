# SPDX-License-Identifier: MIT
"""What an exact sampler gives back, and the memory of its chains while they run."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egbas.samplers.contract import Samples
from egbas.samplers.diagnostics import Diagnostics

CONVERGED, NOT_CONVERGED = "CONVERGED", "NOT_CONVERGED"

Fact = str | int | float | None

_FORGOTTEN = 4  # the first of so many parts of a history is left out


@dataclass(frozen=True, kw_only=True, eq=False)
class Chains(Samples):
    """Draws of many Markov chains.

    Attributes:
        latents: (n, d) float64 draws, chain by chain, in order within each.
        chain: (n,) number of each draw's chain.
        status: ``CONVERGED`` where the chains agree and there are as many effective draws as were wanted, else
            ``NOT_CONVERGED``.
        sentence: the same in words, and what to do.
        diagnostics: of all draws that were looked at, of which ``latents`` are some.
        facts: the kernel, the chains, and how groups of them agree, by name; None where it does not apply or cannot be
            told.
    """

    chain: Int[Tensor, " n"]
    diagnostics: Diagnostics

    @property
    def has_converged(self) -> bool:
        """Whether the chains agree and there are as many effective draws as were wanted."""
        return self.status == CONVERGED


class History:
    """The states of chains, thinned so that they never take more than twice the room that was asked for.

    Attributes:
        seen: draws of each chain so far.
        stride: every so-manieth of them is kept.
    """

    def __init__(self, capacity: int) -> None:
        """Begin with nothing.

        Args:
            capacity: draws of each chain to keep at most, at least 2.
        """
        self._capacity, self._kept = capacity, list[Tensor]()
        self.seen, self.stride = 0, 1

    def add(self, draws: Float[Tensor, "chains n d"]) -> None:
        """Add the next draws."""
        first = -self.seen % self.stride
        self._kept += [state.clone() for state in draws[:, first :: self.stride].unbind(1)]  # each by itself
        self.seen += draws.shape[1]
        while len(self._kept) > self._capacity:
            self._kept = self._kept[::2]
            self.stride *= 2

    def recent(self) -> Float[Tensor, "chains n d"]:
        """The draws that are kept, without the first quarter: where the chains started is forgotten by then, or not."""
        return torch.stack(self._kept[len(self._kept) // _FORGOTTEN :], dim=1)
