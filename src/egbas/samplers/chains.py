# SPDX-License-Identifier: MIT
"""What an exact sampler gives back, and the memory of its chains while they run, which has a budget."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egbas.errors import ConfigError
from egbas.samplers.contract import Samples
from egbas.samplers.diagnostics import Diagnostics

CONVERGED, NOT_CONVERGED = "CONVERGED", "NOT_CONVERGED"

Fact = str | int | float | None

BUDGET = 2**30  # bytes that the draws of all chains take at most, with the copies that are made to look at them
COPIES = 3  # a history, the recent part of it, and some of that: to compare groups of chains, or to hand over
_FORGOTTEN = 4  # the first of so many parts of a history is left out
_BYTES = 8  # of a coordinate


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


def room_within_budget(wanted: int, fewest: int, n_chains: int, d: int) -> int:
    """Draws of each chain that a history may keep: as many as are wanted, or as the budget allows.

    Args:
        wanted: draws of each chain.
        fewest: of these, without which chains could not converge.
        n_chains: chains.
        d: coordinates of a draw.

    Raises:
        ConfigError: the budget does not allow the fewest.
    """
    room = min(wanted, BUDGET // draws_take(1, n_chains, d))
    if room < min(fewest, wanted):
        needed = draws_take(min(fewest, wanted), n_chains, d)
        raise ConfigError(
            f"{n_chains} chains of {d:,} coordinates would take {needed / 2**30:.3g} GiB for the draws that they have "
            f"to keep; {BUDGET / 2**30:.3g} GiB is the most: ask for fewer samples (--samples, samples=)"
        )
    return room


def draws_take(n: int, n_chains: int, d: int) -> int:
    """Bytes of n draws (d,) of each chain, with the copies that are made of them."""
    return COPIES * _BYTES * n * n_chains * d


class History:
    """The states of chains, thinned so that no more are kept than there is room for.

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
