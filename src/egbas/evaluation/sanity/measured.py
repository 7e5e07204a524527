# SPDX-License-Identifier: MIT
"""One region in numbers, the same for a trained network, its randomised copies, and random sets.

In: an exploration with exact samples. Out: units, error, freedom, distances, mass, and maps to compare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.evaluation.equal_mass import BallDraws, ball_of_equal_mass
from egbas.exploration.deviation import deviation_of
from egbas.exploration.facts import Facts, facts_of
from egbas.exploration.result import Exploration
from egbas.geometry import geometry_around
from egbas.latent import LatentSpace
from egbas.network import Tail
from egbas.region import SupportingRegion
from egbas.region.precisions import Precisions
from egbas.samplers.chains import CONVERGED, Chains
from egbas.samplers.choice import rng_of
from egbas.samplers.diagnostics import Diagnostics

SHOWN = 8  # samples whose images are kept for the page
_RANDOM_SETS = 16  # whose mean error at the query is that of a random set
_BALL_DRAWS = 400
_VALUES_AT_ONCE = 200_000  # of images in one pass of a tail


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One region in numbers.

    Attributes:
        units: kept.
        active: units of the layer that could be kept: they are not zero at the query.
        error: relative error at the query of the image that the kept units draw alone.
        random_error: that of random sets of as many active units, on average.
        facts: freedom and distance; None where images do not differ over the prior.
        lie_at: mean |z - z0| of the exact samples, in latent units.
        log10_mass: of the region, with the ends of its interval; None where it takes minutes.
        ball_freedom: of the prior restricted to a ball of the same prior mass; None where the mass is not known.
        kept: of each judge's score its mean over the region; of ``class 5`` the share that keeps the query's class.
        status: of the exact samples.
        r_hat: of them; None where it cannot be told.
        ess: effective draws.
        evaluations: latents asked about.
        deviation: (c, h, w), of each pixel over the region, in pixel units.
        query_image: (c, h, w).
        images: (n, c, h, w), some samples of the region.
    """

    units: int
    active: int
    error: float
    random_error: float
    facts: Facts | None
    lie_at: float
    log10_mass: tuple[float, float, float] | None
    ball_freedom: float | None
    kept: Mapping[str, float]
    status: str
    r_hat: float | None
    ess: float
    evaluations: int
    deviation: Tensor
    query_image: Tensor
    images: Tensor

    @property
    def share(self) -> float:
        """Of the active units, the share that is kept."""
        return self.units / self.active

    @property
    def freedom(self) -> float | None:
        """Summed deviation over the region through that over the prior; None where images do not differ over it."""
        return None if self.facts is None else self.facts.mean

    @property
    def ball_ratio(self) -> float | None:
        """Freedom in the region through that in the ball of equal mass: below 1 the region holds more."""
        if self.freedom is None or not self.ball_freedom:
            return None
        return self.freedom / self.ball_freedom

    def row(self) -> dict[str, Any]:
        """As ``sanity.json`` holds it; None for what is not known."""
        facts = self.facts
        distance = None if facts is None else facts.distance
        mass = (None, None, None) if self.log10_mass is None else self.log10_mass
        return {
            "units": self.units,
            "active": self.active,
            "share": self.share,
            "error": self.error,
            "random_error": self.random_error,
            "freedom": self.freedom,
            "freedom_low": None if facts is None else facts.low,
            "freedom_high": None if facts is None else facts.high,
            "prior_deviation": None if facts is None else facts.prior_deviation,
            "q05": None if distance is None else distance.q05,
            "q50": None if distance is None else distance.q50,
            "q95": None if distance is None else distance.q95,
            "lie_at": self.lie_at,
            "log10_mass": mass[0],
            "log10_mass_low": mass[1],
            "log10_mass_high": mass[2],
            "ball_freedom": self.ball_freedom,
            "ball_ratio": self.ball_ratio,
            "judges": dict(self.kept),
            "status": self.status,
            "r_hat": self.r_hat,
            "ess": self.ess,
            "evaluations": self.evaluations,
        }


def measured_of(run: Exploration, tail: Tail, kept: Bool[Tensor, " units"], judged: Sequence[str]) -> Measured:
    """Put a region into numbers.

    Args:
        run: with exact samples of the region.
        tail: of the run's network at its query.
        kept: the units of the region.
        judged: names of the scores that are told.
    """
    exact = run.exact
    assert exact is not None
    masks = random_masks(tail, int(kept.sum()), _RANDOM_SETS, rng_of("random sets", run.seed))
    error, *random_errors = set_errors(tail, torch.cat([kept[None], masks]))
    mass = run.mass if run.mass is not None and run.mass.is_complete else None
    scores = {} if run.facts is None else run.facts.scores
    chosen = torch.arange(min(SHOWN, len(exact.latents))) * len(exact.latents) // SHOWN
    return Measured(
        units=int(kept.sum()),
        active=int(tail.is_active.sum()),
        error=error,
        random_error=float(np.mean(random_errors)),
        facts=run.facts,
        lie_at=float((exact.latents - run.query.to(exact.latents)).norm(dim=1).mean()),
        log10_mass=None if mass is None else (mass.log10, mass.low, mass.high),
        ball_freedom=None if mass is None else _ball_freedom(run, mass.log10),
        kept={name: scores[name].region_mean for name in judged if name in scores},
        status=exact.status,
        r_hat=exact.facts["r_hat"],
        ess=exact.facts["ess"],
        evaluations=exact.evaluations,
        deviation=deviation_of(run.network, exact.latents, run.query_image).float(),
        query_image=run.query_image,
        images=run.network.generate(exact.latents[chosen]).cpu(),
    )


def random_masks(tail: Tail, size: int, n: int, rng: torch.Generator) -> Bool[Tensor, "n units"]:
    """Draw n sets of so many active units, each equally likely."""
    active = tail.is_active.nonzero()[:, 0]
    masks = torch.zeros(n, len(tail.a), dtype=torch.bool, device=tail.a.device)
    for mask in masks:
        mask[active[torch.randperm(len(active), generator=rng)[:size].to(active.device)]] = True
    return masks


@torch.no_grad()
def set_errors(tail: Tail, masks: Bool[Tensor, "n units"]) -> list[float]:
    """Relative errors at the query of the images that sets of units draw alone."""
    at_once = max(1, _VALUES_AT_ONCE // max(tail.x.numel(), len(tail.a)))
    gaps = [(tail(some * tail.a) - tail.x).flatten(1).norm(dim=1) for some in masks.split(at_once)]
    return (torch.cat(gaps) / tail.x.norm()).tolist()


def region_of_set(
    precisions: Precisions, tail: Tail, kept: Bool[Tensor, " units"], latent: LatentSpace
) -> SupportingRegion:
    """The region around a tail's query that the boundaries of a set of units enclose.

    Args:
        precisions: the network, split at the tail's layer.
        tail: at the query.
        kept: the set; each unit has a side.
        latent: the latent space.
    """
    units = kept.nonzero()[:, 0]
    signs = tail.h[units].sign().to(torch.int8)
    reach = geometry_around(latent, tail.z0).reach(latent.largest_half_width)
    return SupportingRegion.of(precisions, tail.z0, units, signs, reach=reach)


def rank_correlation(a: Tensor, b: Tensor) -> float | None:
    """Spearman's rank correlation of two maps, over the pixels that both have; None where one of them is flat there."""
    from scipy import stats

    both = torch.isfinite(a) & torch.isfinite(b)
    x, y = a[both], b[both]
    if len(x) < 3 or not bool((x != x[0]).any()) or not bool((y != y[0]).any()):
        return None
    return float(np.corrcoef(stats.rankdata(x.numpy()), stats.rankdata(y.numpy()))[0, 1])


def independent(latents: Float[Tensor, "n d"]) -> Chains:
    """Independent draws, as chains of one draw each."""
    n = len(latents)
    return Chains(
        latents=latents,
        status=CONVERGED,
        sentence="Independent draws.",
        evaluations=0,
        facts={},
        chain=torch.arange(n),
        diagnostics=Diagnostics(r_hat=1.0, ess=float(n), worst="none", n_chains=n, n_draws=1),
    )


def _ball_freedom(run: Exploration, log10_mass: float) -> float | None:
    """Freedom in the ball of equal mass; None where the region is everything, or too small for draws of its ball."""
    try:
        ball: BallDraws = ball_of_equal_mass(
            run.query, run.latent, log10_mass, _BALL_DRAWS, rng=rng_of("ball", run.seed)
        )
    except ConfigError:
        return None
    facts = facts_of(run.network, run.latent, run.query, independent(ball.latents), rng=rng_of("facts", run.seed))
    return None if facts is None else facts.mean
