# SPDX-License-Identifier: MIT
"""Sampler against sampler: do two kernels that have little in common give the same distribution in a region?

The rival of a deeper layer's sampler is slice sampling, which asks for membership alone. In a polytope of more than
eight dimensions slices would take too long; there reflection at the boundaries stands against flights between them. In
few dimensions slices with leaps are the region's own; reflection is their rival.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egbas.exploration.problem import Problem
from egbas.exploration.result import Exploration
from egbas.region import Region
from egbas.samplers.chains import Chains
from egbas.samplers.choice import rng_of
from egbas.samplers.contract import Progress
from egbas.samplers.exact import ExactConfig, PriorSampler
from egbas.samplers.normals import Reflections, constraints_for
from egbas.samplers.target import prior_target

SLICE, REFLECTION = "HitAndRunKernel", "ReflectionKernel"
_FEW_DIMENSIONS = 8
_FALSE_ALARMS = 0.01  # of samplers that agree, that are said to disagree
_WITHOUT_ERROR = 1e6  # z-score of two constants that differ: JSON has no infinity
_FEWEST = 50  # effective draws of a series, with which a z-score means anything


@dataclass(frozen=True, kw_only=True)
class RivalSampler:
    """Two samplers of one region.

    Attributes:
        kernel: of the region's own sampler.
        rival: the other kernel; None where there is none.
        skipped: why nothing was compared; empty where it was.
        z_scores: of the difference of the samplers, by the name of what was averaged.
        largest_allowed: a z-score beyond which they disagree: one of a hundred comparisons of samplers that agree has
            one as large, over all series.
        ess: the smallest effective sample size of a series, of each sampler.
    """

    kernel: str
    rival: str | None
    skipped: str
    z_scores: Mapping[str, float]
    largest_allowed: float | None
    ess: tuple[float, float] | None

    def row(self) -> dict[str, Any]:
        """As ``sanity.json`` holds it."""
        return {
            "kernel": self.kernel,
            "rival": self.rival,
            "skipped": self.skipped,
            "z_scores": dict(self.z_scores),
            "largest_z": self.largest_z,
            "largest_allowed": self.largest_allowed,
            "ess": None if self.ess is None else list(self.ess),
            "verdict": self.verdict,
        }

    @property
    def largest_z(self) -> float | None:
        """The largest of the z-scores, without its sign."""
        return max(map(abs, self.z_scores.values()), default=None)

    @property
    def agrees(self) -> bool | None:
        """Whether the samplers agree; None where they were not compared."""
        if self.largest_z is None or self.largest_allowed is None:
            return None
        return self.largest_z <= self.largest_allowed

    @property
    def verdict(self) -> str:
        """Whether they agree, in a sentence."""
        if self.agrees is None:
            return f"Not compared: {self.skipped}"
        worst = max(self.z_scores, key=lambda name: abs(self.z_scores[name]))
        word = "agree" if self.agrees else "DISAGREE"
        return (
            f"{self.kernel} and {self.rival} {word}: the largest of {len(self.z_scores)} z-scores is "
            f"{self.largest_z:.1f} ({worst}), and up to {self.largest_allowed:.1f} is chance."
        )


class OnlyMembership:
    """A region that tells nothing but which latents lie in it."""

    def __init__(self, region: Region) -> None:
        """Take the region."""
        self._region = region

    def contains(self, z: Tensor) -> Tensor:
        """Say which latents (n, d) lie in it."""
        return self._region.contains(z)


class WithConstraints(OnlyMembership):
    """A region that has constraints, and does not say that it is a polytope."""

    def __init__(self, region: Region, constraints: Any) -> None:
        """Take the region and its constraints."""
        super().__init__(region)
        self._constraints = constraints

    def constraints(self) -> Any:
        """Margins of all that bounds it."""
        return self._constraints


def rival_sampler(
    problem: Problem, run: Exploration, config: ExactConfig, *, progress: Progress | None = None
) -> RivalSampler:
    """Sample a run's region by another kernel, and compare.

    Args:
        problem: of one query.
        run: with exact samples.
        config: settings of both samplers.
        progress: called with (effective draws so far, wanted, text).
    """
    own, latent = run.exact, run.latent
    assert own is not None
    kernel = str(own.facts["kernel"])
    region, sampler, rival = _rival(run, kernel, config)
    if region is None or sampler is None:
        return _skipped(kernel, None, "the region's own sampler asks for membership alone, and there is no other.")
    if not own.has_converged:
        return _skipped(kernel, rival, f"the region's own sampler did not converge ({own.diagnostics.text}).")
    other = sampler.sample(region, run.query, latent, rng_of("rival", run.seed), progress)
    if not other.has_converged:
        return _skipped(kernel, rival, f"{rival} did not converge ({other.diagnostics.text}); allow more evaluations.")
    query_image = problem.network.generate(run.query[None])[0].cpu()

    def image_distance(z: Tensor) -> Tensor:
        batches = problem.network.image_batches(z)
        return torch.cat([(batch - query_image).flatten(1).double().norm(dim=1) for batch in batches])

    both = [_series(chains, run.query, image_distance(chains.latents)) for chains in (own, other)]
    z_scores, sizes = compared(*both)
    if not z_scores:
        return _skipped(kernel, rival, f"fewer than {_FEWEST} effective draws; ask for more samples.")
    return RivalSampler(
        kernel=kernel,
        rival=rival,
        skipped="",
        z_scores=z_scores,
        largest_allowed=largest_by_chance(len(z_scores)),
        ess=sizes,
    )


def compared(
    first: Mapping[str, Float[np.ndarray, "chains n"]], second: Mapping[str, Float[np.ndarray, "_ _"]]
) -> tuple[dict[str, float], tuple[float, float]]:
    """z-scores of the means and variances of two samplers' series, and the smallest effective sizes.

    Args:
        first: draws of one, chain by chain, by the name of the series.
        second: of the other, with the same names.

    Returns:
        Nothing where a series has fewer than 50 effective draws: a z-score would mean nothing.
    """
    z_scores: dict[str, float] = {}
    smallest = [math.inf, math.inf]
    for name, draws in first.items():
        other = second[name]
        if np.ptp(draws) == 0 and np.ptp(other) == 0:
            continue
        centre = (draws.mean() + other.mean()) / 2
        for what, power in (("mean", 1), ("variance", 2)):
            parts = [_mean_and_error((each - centre) ** power) for each in (draws, other)]
            smallest = [min(old, part[2]) for old, part in zip(smallest, parts, strict=True)]
            gap, error = parts[0][0] - parts[1][0], math.hypot(parts[0][1], parts[1][1])
            z_scores[f"{what} of {name}"] = gap / error if error > 0 else _WITHOUT_ERROR if gap else 0.0
    if min(smallest) < _FEWEST:
        return {}, (smallest[0], smallest[1])
    return z_scores, (smallest[0], smallest[1])


def largest_by_chance(n: int) -> float:
    """The z-score that the largest of n exceeds in one of a hundred comparisons, if all are independent (Sidak)."""
    from scipy import stats

    return float(stats.norm.isf((1 - (1 - _FALSE_ALARMS) ** (1 / n)) / 2))


def _rival(run: Exploration, kernel: str, config: ExactConfig) -> tuple[Region | None, PriorSampler | None, str | None]:
    """The region as the rival sees it, the rival, and the name of its kernel."""
    if kernel == SLICE or (kernel == "HamiltonianKernel" and run.latent.size > _FEW_DIMENSIONS):
        constraints = constraints_for(run.region, prior_target(run.latent, run.query))
        if constraints is not None:
            hooks = Reflections(always=True)
            sampler = PriorSampler(config=config, reflection=hooks.kernel, starts=hooks.starts)
            return WithConstraints(run.region, constraints), sampler, REFLECTION
    if kernel == SLICE:
        return None, None, None
    return OnlyMembership(run.region), PriorSampler(config=config), SLICE


def _series(chains: Chains, query: Float[Tensor, " d"], image_distance: Float[Tensor, " n"]) -> dict[str, np.ndarray]:
    n_chains = int(chains.chain.max()) + 1
    each = int(chains.chain.bincount().min())
    equal = torch.cat([(chains.chain == number).nonzero()[:each, 0] for number in range(n_chains)])
    z = chains.latents.double()
    series = {f"coordinate {i}": z[:, i] for i in range(z.shape[1])}
    series["|z - z0|"] = (z - query.to(z)).norm(dim=1)
    series["image distance"] = image_distance
    return {name: values[equal.to(values.device)].reshape(n_chains, each).numpy() for name, values in series.items()}


def _mean_and_error(draws: np.ndarray) -> tuple[float, float, float]:
    """Mean, its standard error, and the effective sample size."""
    from arviz_stats.base.array import array_stats

    ess = float(array_stats.ess(draws[None], chain_axis=1, draw_axis=2, method="mean")[0])
    if not math.isfinite(ess):
        ess = 0.0
    return float(draws.mean()), float(draws.std(ddof=1)) / math.sqrt(max(ess, 1.0)), ess


def _skipped(kernel: str, rival: str | None, why: str) -> RivalSampler:
    return RivalSampler(kernel=kernel, rival=rival, skipped=why, z_scores={}, largest_allowed=None, ess=None)
