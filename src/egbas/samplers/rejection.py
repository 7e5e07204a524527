# SPDX-License-Identifier: MIT
"""Independent draws of a region: those draws of a distribution that fall into it (von Neumann's rejection).

In: a region, and draws of the distribution without it. Out: exact and independent draws, where the region holds enough
of the distribution; else the word that it does not, after a short look. Chains cost some dozens of evaluations for each
effective draw, so that from one in 32 on there is nothing that they would do better.

The draws of the look count, too: given how many of them lie inside, these are independent draws of the region.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.region import Region
from egbas.samplers.chains import CONVERGED, NOT_CONVERGED, Chains, Fact
from egbas.samplers.contract import Progress
from egbas.samplers.diagnostics import Diagnostics

REJECTION = "Rejection"  # in place of a kernel's name

# Draws that are looked at first; in all; of them inside, with which rejection goes on.
_FIRST, _LOOK, _LEAST = 64, 256, 8
_BUDGET_OF_LOOK = 4  # part of the evaluations that the look may take
_AT_ONCE = 1024

Draws = Callable[[int], Float[Tensor, "n d"]]


class Independent(NamedTuple):
    """What rejection gave.

    Attributes:
        latents: (n, d) float64, inside the region; none where the region holds too little of the distribution.
        evaluations: latents whose membership was asked.
        is_enough: whether the region holds enough of the distribution for rejection.
    """

    latents: Float[Tensor, "n d"]
    evaluations: int
    is_enough: bool


def independent_draws(
    region: Region,
    draws: Draws,
    *,
    wanted: int,
    most: int,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Independent:
    """Draw until so many draws lie in a region, or give up after a look where few do.

    Args:
        region: says which latents lie in it.
        draws: gives n independent draws (n, d) of the distribution.
        wanted: draws inside.
        most: latents that are asked about at most.
        device: that the region wants its latents on.
        progress: called with (draws inside, wanted, text).
    """
    inside: list[Tensor] = []
    n = n_inside = 0
    look = min(_LOOK, max(most // _BUDGET_OF_LOOK, 1))

    def ask(count: int) -> None:
        nonlocal n, n_inside
        z = draws(count)
        kept = z[region.contains(z.to(device)).cpu()].double()
        inside.append(kept)
        n, n_inside = n + count, n_inside + len(kept)

    ask(min(_FIRST, look))
    if n_inside and look > n:
        ask(look - n)
    if n_inside < max(_LEAST * n / _LOOK, 1):
        return Independent(inside[0][:0], n, is_enough=False)
    while n_inside < wanted and n < most:
        ask(min(_AT_ONCE, most - n, max((wanted - n_inside) * n // n_inside, _FIRST)))
        if progress:
            progress(min(n_inside, wanted), wanted, f"independent draws, one in {n / n_inside:.3g} lies inside")
    return Independent(torch.cat(inside)[:wanted], n, is_enough=True)


def as_chains(found: Independent, *, samples: int, n_chains: int) -> Chains:
    """Independent draws as chains, in which each draw has forgotten the one before.

    Args:
        found: the draws; all are taken, so that one chain may have a draw more than another.
        samples: draws wanted.
        n_chains: chains; fewer where there are fewer draws.
    """
    n_chains = min(n_chains, len(found.latents))
    n, is_enough = len(found.latents), len(found.latents) >= samples
    each = n // n_chains
    text = f"{n:,} independent draws of {samples:,} wanted"
    facts: dict[str, Fact] = {
        "kernel": REJECTION,
        "r_hat": 1.0,
        "ess": float(n),
        "slowest": "none",
        "chains": n_chains,
        "draws_looked_at": each,
        "chains_from_prior": n_chains,
        "draws_per_chain": each,
        "stride": 1,
        "r_hat_between_starts": None,
        "r_hat_of_query_chains": None,
        "r_hat_of_prior_chains": None,
        "refusals": None,
    }
    return Chains(
        latents=found.latents,
        chain=torch.arange(n) * n_chains // n,
        status=CONVERGED if is_enough else NOT_CONVERGED,
        sentence=f"No chains are needed: {text}, by rejection."
        if is_enough
        else f"Too few after {found.evaluations:,} evaluations: {text}, by rejection. Raise max_evaluations.",
        evaluations=found.evaluations,
        diagnostics=Diagnostics(r_hat=1.0, ess=float(n), worst="none", n_chains=n_chains, n_draws=each),
        facts=facts,
    )
