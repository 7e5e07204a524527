# SPDX-License-Identifier: MIT
"""Is a kept unit's boundary worth more than a dropped one's? Each is crossed by itself, the other units as they may.

From the query a line goes along the gradient of a unit's pre-activation, towards zero; on a sphere, a great circle.
Its first crossing is looked for on a grid of distances, and then by halving. For an affine layer in flat space it is
the nearest crossing; for others it is one near by.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egbas.evaluation.metrics.bootstrap import N_RESAMPLES
from egbas.evaluation.sanity.measured import set_errors
from egbas.exploration.problem import Problem
from egbas.geometry import geometry_around
from egbas.network import Split, Tail
from egbas.samplers.choice import rng_of

MOST_UNITS = 32  # of each kind
_FEWEST = 6  # units; from the least to the largest of five holds the median in 94 % of the cases
_GRID = 48  # distances, each so many times the one before
_NEAREST = 1e-4  # of the farthest distance
_HALVINGS = 30
_AT_ONCE = 512  # latents in one pass


@dataclass(frozen=True, kw_only=True)
class Median:
    """A median over units, with a 95 % bootstrap interval; None where there is no unit to take it over.

    Of fewer than six units there is no interval: even from the least to the largest holds the median too seldom.
    """

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Float[Tensor, " n"], rng: torch.Generator) -> "Median":
        """Take it; values that are not finite are left out."""
        known = values[values.isfinite()].double()
        if not len(known):
            return cls(value=None, low=None, high=None)
        if len(known) < _FEWEST:
            return cls(value=float(known.quantile(0.5)), low=None, high=None)
        drawn = known[torch.randint(len(known), (N_RESAMPLES, len(known)), generator=rng)].quantile(0.5, dim=1)
        low, high = drawn.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        return cls(value=float(known.quantile(0.5)), low=low, high=high)

    def row(self) -> list[float | None]:
        """Value, low and high end."""
        return [self.value, self.low, self.high]

    @property
    def text(self) -> str:
        """Such as ``0.42 [0.31, 0.50]``."""
        if self.value is None:
            return "none"
        ends = "(too few units for an interval)" if self.low is None else f"[{self.low:.3g}, {self.high:.3g}]"
        return f"{self.value:.3g} {ends}"


@dataclass(frozen=True, kw_only=True)
class Crossings:
    """What crossing the boundaries of some units does.

    Attributes:
        units: how many were tried.
        crossed: of how many a crossing was found within the prior's reach.
        distance: from the query to the crossing, in latent units.
        change: ||G(z) - G(z0)|| / ||G(z0)|| at the crossing.
        rate: the change by the distance.
        removed: error of the image at the query when the one unit is masked, and all others stay.
    """

    units: int
    crossed: int
    distance: Median
    change: Median
    rate: Median
    removed: Median

    def row(self) -> dict[str, Any]:
        """As ``sanity.json`` holds it."""
        return {
            "units": self.units,
            "crossed": self.crossed,
            "distance": self.distance.row(),
            "change": self.change.row(),
            "rate": self.rate.row(),
            "removed": self.removed.row(),
        }


@dataclass(frozen=True, kw_only=True)
class Necessity:
    """Crossing a kept unit's boundary beside crossing that of a dropped active unit."""

    kept: Crossings
    dropped: Crossings

    def row(self) -> dict[str, Any]:
        """As ``sanity.json`` holds it."""
        return {"kept": self.kept.row(), "dropped": self.dropped.row(), "verdict": self.verdict}

    @property
    def verdict(self) -> str:
        """Which changes the image more, in sentences."""
        if not self.dropped.units:
            return "All active units are kept: there is no dropped one to compare with."
        if not self.kept.crossed or not self.dropped.crossed:
            which = "kept" if not self.kept.crossed else "dropped"
            return f"No boundary of a {which} unit was crossed within the prior's reach: nothing can be compared."
        parts = [
            _compared("At the crossing", self.kept.change, self.dropped.change),
            _compared("By distance", self.kept.rate, self.dropped.rate),
            _compared("Masking the one unit at the query", self.kept.removed, self.dropped.removed),
        ]
        return " ".join(parts)


def necessity(problem: Problem, tail: Tail, kept: Int[Tensor, " k"]) -> Necessity:
    """Cross boundaries of kept and of dropped active units, up to 32 of each, drawn at random.

    Args:
        problem: of one query, with a layer.
        tail: of the layer, at the query.
        kept: the units of the supporting set.
    """
    assert problem.precisions is not None
    (seed,) = problem.seeds
    rng = rng_of("necessity", seed)
    is_dropped = tail.is_active
    is_dropped[kept.to(is_dropped.device)] = False
    split = problem.precisions.split
    some = [_some(kept.cpu(), rng), _some(is_dropped.nonzero()[:, 0].cpu(), rng)]
    return Necessity(
        kept=_crossings(problem, split, tail, some[0], rng), dropped=_crossings(problem, split, tail, some[1], rng)
    )


def first_crossings(
    problem: Problem, split: Split, h0: Float[Tensor, " units"], units: Int[Tensor, " k"]
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"]]:
    """Distance to the first crossing of each unit's boundary on its line, and the latent just beyond it.

    Args:
        problem: of one query.
        split: of its network, at the layer.
        h0: pre-activations of the query.
        units: whose boundaries are crossed.

    Returns:
        Distances in latent units, infinite where the line ends first: four deviations of the prior for each
        coordinate, half way around a sphere, or the end of the prior's support.
    """
    (query,) = problem.queries
    geometry = geometry_around(problem.latent, query)
    sides = h0[units].sign().cpu()
    ways = geometry.directions(-sides[:, None].double() * _gradients(split, query, units).double())
    farthest = geometry.limit(4 * problem.latent.scale * math.sqrt(len(query)))

    def beyond(lengths: Float[Tensor, "k m"]) -> tuple[Tensor, Tensor]:
        """Whether the latents at some distances on each line lie beyond the unit's boundary; and the latents."""
        z = geometry.around((lengths[..., None] * ways[:, None]).reshape(-1, len(query)))
        own = units.repeat_interleave(lengths.shape[1]).to(split.device)
        h = torch.cat(
            [
                split.head(some).gather(1, which[:, None])[:, 0].cpu()
                for some, which in zip(z.split(_AT_ONCE), own.split(_AT_ONCE), strict=True)
            ]
        )
        return h.view(lengths.shape) * sides[:, None] < 0, z.view(*lengths.shape, -1)

    grid = farthest * torch.logspace(math.log10(_NEAREST), 0, _GRID, dtype=torch.float64)
    is_beyond, z = beyond(grid.expand(len(units), -1))
    is_beyond &= problem.latent.contains(z.reshape(-1, len(query))).view(is_beyond.shape).cpu()
    is_found = is_beyond.any(dim=1)
    index = is_beyond.int().argmax(dim=1)
    high = grid[index]
    low = torch.where(index > 0, grid[(index - 1).clamp(min=0)], torch.zeros_like(high))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_far = beyond(middle[:, None])[0][:, 0]
        low, high = torch.where(is_far, low, middle), torch.where(is_far, middle, high)
    return torch.where(is_found, high, torch.inf), beyond(high[:, None])[1][:, 0]


def _crossings(problem: Problem, split: Split, tail: Tail, units: Tensor, rng: torch.Generator) -> Crossings:
    if not len(units):
        nothing = Median(value=None, low=None, high=None)
        return Crossings(units=0, crossed=0, distance=nothing, change=nothing, rate=nothing, removed=nothing)
    distances, z = first_crossings(problem, split, tail.h, units)
    is_found = distances.isfinite()
    query_image = problem.network.generate(problem.queries[0][None])[0].cpu()
    batches = problem.network.image_batches(z)
    far = torch.cat([(batch - query_image).flatten(1).double().norm(dim=1) for batch in batches])
    changes = torch.where(is_found, far / query_image.double().norm(), torch.nan)
    masks = torch.ones(len(units), len(tail.a), dtype=torch.bool, device=tail.a.device)
    masks[torch.arange(len(units)), units.to(masks.device)] = False
    removed = torch.tensor(set_errors(tail, masks), dtype=torch.float64)
    return Crossings(
        units=len(units),
        crossed=int(is_found.sum()),
        distance=Median.of(distances, rng),
        change=Median.of(changes, rng),
        rate=Median.of(changes / distances, rng),
        removed=Median.of(removed, rng),
    )


@torch.enable_grad()
def _gradients(split: Split, query: Float[Tensor, " d"], units: Int[Tensor, " k"]) -> Float[Tensor, "k d"]:
    """Of each unit's pre-activation, with respect to the latent."""
    z = query.to(split.device, split.dtype).expand(len(units), -1).clone().requires_grad_()
    h = split.differentiable(z)
    own = h.gather(1, units.to(h.device)[:, None]).sum()  # each row is a latent of its own
    return torch.autograd.grad(own, z)[0].cpu()


def _some(units: Int[Tensor, " k"], rng: torch.Generator) -> Int[Tensor, " m"]:
    return units[torch.randperm(len(units), generator=rng)[:MOST_UNITS]]


def _compared(when: str, kept: Median, dropped: Median) -> str:
    told = f"{when}: kept {kept.text}, dropped {dropped.text};"
    intervals: Sequence[float | None] = (kept.low, kept.high, dropped.low, dropped.high)
    if any(value is None for value in intervals):
        return f"{told} not comparable."
    kept_low, kept_high, dropped_low, dropped_high = (float(value) for value in intervals if value is not None)
    if kept_low > dropped_high:
        return f"{told} a kept unit changes the image more."
    if kept_high < dropped_low:
        return f"{told} a dropped unit changes the image more."
    return f"{told} no difference can be told."
