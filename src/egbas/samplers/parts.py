# SPDX-License-Identifier: MIT
"""Which share of a region lies in the part of it that holds the query.

In: draws of the whole region, and draws of chains from the query. Out: the share of the former that straight lines
within the region join to the latter, directly or by way of one another.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.region import Region
from egbas.samplers.mass import Mass

_LOOKED_AT = 192  # draws of the whole region
_STATIONS = 128  # draws from the query that lines may lead to
_NEAREST = 4  # stations that each draw is tried with
_POINTS = 24  # of a line, between its ends
_ROUNDS = 8


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of a region's prior mass.

    Attributes:
        value: from 0 to 1.
        low: lower end of a 95 % interval.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """Such as ``48 % [39 %, 57 %]``."""
        return f"{self.value:.0%} [{self.low:.0%}, {self.high:.0%}]".replace("%", " %")


def share_of_query(region: Region, from_query: Float[Tensor, "k d"], mass: Mass) -> Share | None:
    """Estimate the share of a region that lies in the query's part; a lower bound where lines between draws leave it.

    Args:
        region: says which latents lie in it.
        from_query: states of chains that began at the query.
        mass: of the region, with draws of all of it.

    Returns:
        The share with its interval, by the spread of the repetitions; None where there are too few draws.
    """
    latents, repetition = _evenly(mass.latents, mass.repetition, _LOOKED_AT)
    if len(latents) < 2 or not len(from_query):
        return None
    is_joined = joined(region, _evenly(from_query, torch.arange(len(from_query)), _STATIONS)[0].to(latents), latents)
    shares = np.array([float(is_joined[repetition == number].double().mean()) for number in repetition.unique()])
    value = float(is_joined.double().mean())
    half = _half_width(shares, value, len(latents))
    return Share(value=value, low=max(value - half, 0.0), high=min(value + half, 1.0))


def joined(region: Region, stations: Float[Tensor, "k d"], z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
    """Say which latents straight lines within a region join to stations, or to latents that are joined to these."""
    is_joined = torch.zeros(len(z), dtype=torch.bool)
    for _ in range(_ROUNDS):
        left = (~is_joined).nonzero()[:, 0]
        if not len(left):
            break
        nearest = torch.cdist(z[left], stations).topk(min(_NEAREST, len(stations)), largest=False).indices
        found = left[_are_lines_within(region, z[left], stations[nearest])]
        if not len(found):
            break
        is_joined[found] = True
        stations = torch.cat([stations, z[found]])
    return is_joined


def _are_lines_within(region: Region, z: Float[Tensor, "n d"], ends: Float[Tensor, "n k d"]) -> Bool[Tensor, " n"]:
    """Whether one of the lines from each latent to its ends lies in the region, as far as points of it tell."""
    steps = (torch.arange(1, _POINTS + 1, dtype=torch.float32) / (_POINTS + 1)).to(z).view(1, 1, -1, 1)
    points = z[:, None, None] + steps * (ends - z[:, None])[:, :, None]
    inside = region.contains(points.reshape(-1, z.shape[1])).cpu()
    return inside.view(points.shape[:3]).all(dim=2).any(dim=1)


def _evenly(z: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    chosen = torch.arange(min(count, len(z))) * len(z) // max(min(count, len(z)), 1)
    return z[chosen], labels[chosen]


def _half_width(shares: np.ndarray, value: float, n: int) -> float:
    """Of a 95 % interval: by Student's t over repetitions; never narrower than n independent draws would have."""
    from scipy import stats

    # Agresti and Coull's: as if two more had been in and two more out, so that 0 and 1 have a width.
    p = (value * n + 2) / (n + 4)
    alone = 1.96 * math.sqrt(p * (1 - p) / (n + 4))
    if len(shares) < 2:
        return alone
    spread = float(stats.t.ppf(0.975, len(shares) - 1) * shares.std(ddof=1) / math.sqrt(len(shares)))
    return max(alone, spread)
