# SPDX-License-Identifier: MIT
"""Neighbours by boundaries: the latents of a bank that share most of the kept boundaries with the query.

In: the region of a layer's supporting set, and a bank of latents. Out: those that the layer takes for nearly the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egbas.errors import ConfigError, ShapeError
from egbas.machine.settings import alone
from egbas.region import SupportingRegion

BANK, COUNT = 10_000, 15  # latents of a bank, and how many of them are shown
_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """The latents of a bank that share most boundaries with the query.

    Attributes:
        latents: (n, d), the nearest first.
        shared: (n,) share of the kept boundaries that each has on the query's side; 1 lies in the region.
        index: (n,) place of each in the bank.
        bank: how many latents the bank holds.
        mean: of the share over the whole bank: what chance gives.
        inside: latents of the bank that lie in the region.
    """

    latents: Float[Tensor, "n d"]
    shared: Float[Tensor, " n"]
    index: Int[Tensor, " n"]
    bank: int
    mean: float
    inside: int


@alone
def neighbours_of(
    region: SupportingRegion,
    bank: Float[Tensor, "m d"],
    count: int = COUNT,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Neighbours:
    """Find the neighbours of a region's query by boundaries.

    Args:
        region: of a supporting set, ``run.region`` of an exploration.
        bank: latents to look among, such as draws of the prior.
        count: how many to give; all where the bank holds fewer.
        progress: called with (latents asked, all of them).

    Raises:
        ShapeError: the bank is no (m, d), holds no latent, or has values that are not finite.
        ConfigError: ``count`` is below 1.
    """
    if count < 1:
        raise ConfigError(f"got a count of {count}; expected at least 1")
    d = region.split.latent_size
    if bank.ndim != 2 or bank.shape[1] != d or not len(bank) or not bool(bank.isfinite().all()):
        raise ShapeError(f"got a bank of shape {tuple(bank.shape)}; expected (m, {d}) with m >= 1 and finite values")
    shares = []
    for start in range(0, len(bank), _AT_ONCE):
        shares.append(region.shared(bank[start : start + _AT_ONCE].to(region.split.device)))
        if progress:
            progress(min(start + _AT_ONCE, len(bank)), len(bank))
    shared = torch.cat(shares)
    index = shared.argsort(descending=True, stable=True)[:count]
    return Neighbours(
        latents=bank[index],
        shared=shared[index],
        index=index,
        bank=len(bank),
        mean=float(shared.mean()),
        inside=int((shared == 1).sum()),
    )
