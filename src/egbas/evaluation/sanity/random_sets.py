# SPDX-License-Identifier: MIT
"""Random sets of as many active units, as regions under the same exact sampler: what BerOpt's choice is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from egbas.evaluation.sanity.measured import Measured, measured_of, region_of_set
from egbas.exploration.answers import Sampling, answers
from egbas.exploration.clock import Clock, Progress
from egbas.exploration.facts import Facts, prior_draws
from egbas.exploration.problem import Problem
from egbas.exploration.supports import Found
from egbas.network import Tail
from egbas.samplers.chains import CONVERGED
from egbas.samplers.choice import rng_of

_DRAWS = 16384  # of the prior, of which those in a region are counted
_FEWEST_INSIDE = 16  # of them, with which a mass can be told so
_MOST_UNITS = 512  # that are tried for a region of equal mass
_AT_ONCE = 512  # latents in one pass


@dataclass(frozen=True, kw_only=True, eq=False)
class RandomSets:
    """Regions of random sets beside that of the supporting set.

    Attributes:
        trained: the region of the supporting set.
        equal_number: regions of as many random active units.
        equal_mass: regions of random active units that have the same prior mass; empty where that is too small to be
            told by counting draws of the prior.
    """

    trained: Measured
    equal_number: tuple[Measured, ...]
    equal_mass: tuple[Measured, ...]

    def row(self) -> dict[str, Any]:
        """As ``sanity.json`` holds it."""
        return {
            "equal_number": [one.row() for one in self.equal_number],
            "equal_mass": [one.row() for one in self.equal_mass],
            "verdict": self.verdict,
        }

    @property
    def verdict(self) -> str:
        """What the choice of units is worth, in sentences."""
        own, n = self.trained, len(self.equal_number)
        error = sum(one.error for one in self.equal_number) / n
        noun, verb = ("set", "has") if n == 1 else ("sets", "have")
        told = [
            f"At the query {n} random {noun} of {own.units:,} units {verb} an error of {error:.2f}, "
            f"BerOpt's has {own.error:.2f}."
        ]
        told += [self._compared("as many random units", self.equal_number)]
        if self.equal_mass:
            told += [self._compared("random units of the same prior mass", self.equal_mass)]
        return " ".join(text for text in told if text)

    def _compared(self, what: str, others: Sequence[Measured]) -> str:
        freedoms = [one.freedom for one in others if one.freedom is not None]
        own = self.trained.facts
        if own is None or not freedoms:
            return ""
        low, high = min(freedoms), max(freedoms)
        span = f"{low:.2f} to {high:.2f}" if f"{low:.2f}" != f"{high:.2f}" else f"{low:.2f}"
        agree = all(one.status == CONVERGED for one in (self.trained, *others))
        doubt = "" if agree else "Chains did not converge everywhere: "
        begin = f"{doubt}The region of {what} has a freedom of {span}, BerOpt's {own.mean:.2f}:"
        lower, upper = _ends(own)
        ends = [_ends(one.facts) for one in others if one.facts is not None]
        if min(end[0] for end in ends) > upper:
            return f"{begin} BerOpt's holds more of the image."
        if max(end[1] for end in ends) < lower:
            return f"{begin} BerOpt's holds less of the image."
        return f"{begin} no difference can be told."


def _ends(facts: Facts) -> tuple[float, float]:
    """Of the interval of a freedom; the freedom itself where there is none."""
    return (facts.mean, facts.mean) if facts.low is None or facts.high is None else (facts.low, facts.high)


def random_sets(  # noqa: PLR0913
    problem: Problem,
    tail: Tail,
    trained: Measured,
    n_sets: int,
    sampling: Sampling,
    *,
    judged: Sequence[str] = (),
    progress: Progress | None = None,
) -> RandomSets:
    """Explore the regions of random sets.

    Args:
        problem: of one query, with a layer.
        tail: of the layer, at the query.
        trained: the region of the supporting set, to compare with.
        n_sets: random sets, at least 1.
        sampling: how regions are sampled.
        judged: names of the scores that are told.
        progress: called with (stage, done, total, text).
    """
    (seed,) = problem.seeds
    rng = rng_of("random regions", seed)
    equal_number: list[Measured] = []
    equal_mass: list[Measured] = []
    for number in range(n_sets):
        if progress:
            progress("random sets", number, n_sets, f"{trained.units:,} units")
        active = tail.is_active.nonzero()[:, 0]
        order = active[torch.randperm(len(active), generator=rng).to(active.device)]
        found = _explored(problem, tail, _mask_of(order[: trained.units], tail), sampling, judged)
        equal_number.append(found)
        if trained.log10_mass is not None:
            kept = _of_mass(problem, tail, order, trained.log10_mass[0], rng)
            if kept is not None:
                equal_mass.append(_explored(problem, tail, kept, sampling, judged))
    if progress:
        progress("random sets", n_sets, n_sets, "")
    return RandomSets(trained=trained, equal_number=tuple(equal_number), equal_mass=tuple(equal_mass))


def _explored(
    problem: Problem, tail: Tail, kept: Bool[Tensor, " units"], sampling: Sampling, judged: Sequence[str]
) -> Measured:
    assert problem.precisions is not None
    region = region_of_set(problem.precisions, tail, kept, problem.latent)
    found = Found(beropt=None, region=region)
    (run,) = answers(problem, [found], sampling, Clock(None, 1))
    return measured_of(run, tail, kept, judged)


def _of_mass(
    problem: Problem, tail: Tail, order: Int[Tensor, " k"], log10_mass: float, rng: torch.Generator
) -> Bool[Tensor, " units"] | None:
    """A random set whose region has that prior mass, by draws of the prior that are counted; None where it is small.

    Units are taken in an order, each unless the region would become too small by it.
    """
    assert problem.precisions is not None
    wanted = 10**log10_mass * _DRAWS
    if wanted < _FEWEST_INSIDE:
        return None
    split, z = problem.precisions.split, prior_draws(problem.latent, problem.queries[0], _DRAWS, rng)
    order = order[:_MOST_UNITS]
    sides = tail.h[order].sign()
    agrees = torch.cat([(split.head(some)[:, order] * sides >= 0).cpu() for some in z.split(_AT_ONCE)])
    inside, taken = torch.ones(_DRAWS, dtype=torch.bool), list[int]()
    for place in range(len(order)):
        left = inside & agrees[:, place]
        if int(left.sum()) >= wanted:
            inside = left
            taken.append(place)
    return _mask_of(order[taken], tail) if taken else None


def _mask_of(units: Tensor, tail: Tail) -> Bool[Tensor, " units"]:
    mask = torch.zeros(len(tail.a), dtype=torch.bool, device=tail.a.device)
    mask[units] = True
    return mask
