# SPDX-License-Identifier: MIT
"""BerOpt again and again at one query, with other masks each time, and exact samples of each region.

In: what was explored. Out: how certain its answer is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from egbas.beropt import BerOptConfig
from egbas.errors import ConfigError
from egbas.exploration.answers import Sampling, answers
from egbas.exploration.certainty import Certainty, Repeat, certainty_of
from egbas.exploration.clock import Clock, Progress
from egbas.exploration.problem import Problem
from egbas.exploration.result import Exploration
from egbas.exploration.supports import Found, supports_of
from egbas.region import SupportingRegion
from egbas.samplers.choice import PRIOR, rng_of

MOST = 1000  # repeats


def check_repeats(repeats: int, *, has_layer: bool, masks: int | None = None) -> None:
    """Refuse numbers that cannot be meant.

    Args:
        repeats: how often BerOpt is to run.
        has_layer: whether BerOpt runs at all.
        masks: of BerOpt a step.

    Raises:
        ConfigError: it is no whole number from 1 to 1000, there is no BerOpt to repeat, or it draws no masks.
    """
    if isinstance(repeats, bool) or not isinstance(repeats, int) or not 1 <= repeats <= MOST:
        raise ConfigError(f"got repeats={repeats!r}; expected a whole number from 1 to {MOST:,}")
    if repeats > 1 and not has_layer:
        raise ConfigError(f"got repeats={repeats} and a region, in which BerOpt is skipped; leave one out")
    if repeats > 1 and masks == 0:
        raise ConfigError(
            f"got repeats={repeats} and masks=0: without random masks BerOpt finds the same set each time; "
            "leave one out, or give masks of at least 1"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Again:
    """The same query with other masks: what BerOpt found.

    Attributes:
        problem: the query as often as it is repeated, each with a seed of its own.
        found: what BerOpt found with each.
    """

    problem: Problem
    found: Sequence[Found]


def find_again(
    problem: Problem, place: int, repeats: int, config: BerOptConfig, half_width: float, progress: Progress | None
) -> Again:
    """Run BerOpt for one of the queries with other masks.

    Args:
        problem: what is explored.
        place: of the query among its queries.
        repeats: seeds in all; the first is the run's own, and is not repeated here.
        config: of BerOpt.
        half_width: as for ``supports_of``.
        progress: called with (stage, done, total, text).

    Raises:
        ConfigError: a set has no unit.
    """
    seeds = seeds_again(problem.seeds[place], repeats - 1)
    again = replace(problem, queries=[problem.queries[place]] * len(seeds), seeds=seeds)
    try:
        found = supports_of(again, config, half_width, _clock(progress, len(seeds)))
    except ConfigError as error:
        raise ConfigError(f"with other masks (repeats={repeats}): {error}") from error
    return Again(problem=again, found=found)


def seeds_again(seed: int, n: int) -> list[int]:
    """The seeds of n more runs of BerOpt beside that of a run; the first ones are the same for every n."""
    rng = rng_of("repeats", seed)
    return [int(torch.randint(2**31, (), generator=rng)) for _ in range(n)]


def certainty_by(run: Exploration, again: Again, sampling: Sampling, progress: Progress | None) -> Certainty:
    """Draw exact samples of each region as the run did, and compare all of them with the run's.

    Args:
        run: of the query.
        again: what BerOpt found with other masks.
        sampling: of the run.
        progress: called with (stage, done, total, text).
    """
    problem = again.problem
    repeats = [repeat_of(run)]
    if run.exact is None:
        repeats += map(_without_samples, problem.seeds, again.found)
    else:
        exact = replace(sampling, named=(PRIOR,), mass=None if sampling.mass else sampling.mass)
        repeats += map(repeat_of, answers(problem, again.found, exact, _clock(progress, len(problem.seeds))))
    assert problem.precisions is not None
    active = int(problem.precisions.split.at(run.query).is_active.sum())
    return certainty_of(repeats, active, run.network, run.latent, run.query, rng=rng_of("certainty", run.seed))


def repeat_of(run: Exploration) -> Repeat:
    """What an exploration of a layer says, as one of several seeds of BerOpt.

    Args:
        run: the exploration.
    """
    support = run.support
    return Repeat(
        seed=run.seed,
        beropt=support.beropt,
        region=support.region,
        exact=run.exact,
        facts=run.facts,
        log10_mass=None if run.mass is None else run.mass.log10,
    )


def _without_samples(seed: int, found: Found) -> Repeat:
    assert found.beropt is not None  # a layer has a set
    assert isinstance(found.region, SupportingRegion)
    return Repeat(
        seed=seed,
        beropt=found.beropt,
        region=found.region,
        exact=None,
        facts=None,
        log10_mass=None,
    )


def _clock(progress: Progress | None, n: int) -> Clock:
    """Tells all stages as one."""
    if progress is None:
        return Clock(None, n)
    return Clock(lambda stage, done, total, text: progress("repeats", done, total, f"{stage}: {text}"), n)
