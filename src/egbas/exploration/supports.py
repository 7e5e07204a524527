# SPDX-License-Identifier: MIT
"""BerOpt for the queries of an exploration, at one level or many, and the regions of what it finds."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.beropt import BerOptConfig, BerOptResult, error_of, optimize, optimize_levels
from egbas.beropt.config import DEFAULT_LEVEL, FINEST
from egbas.errors import ConfigError
from egbas.exploration.clock import Clock, StageProgress
from egbas.exploration.problem import Problem
from egbas.geometry import geometry_around
from egbas.machine.threads import idle_cores, side_by_side
from egbas.network import Tail
from egbas.region import Region, SupportingRegion


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """The region of a query, and what BerOpt found for it; None where the region was given."""

    beropt: BerOptResult | None
    region: Region


def config_of(level: int | None, beropt: BerOptConfig | None) -> BerOptConfig:
    """The settings of BerOpt: the level that was asked for, or the default one where nothing was.

    Raises:
        ConfigError: there is no such level, or the settings have a sparsity or a level of their own.
    """
    if level is None:
        return beropt if beropt is not None else BerOptConfig(level=DEFAULT_LEVEL)
    error_of(level)
    if beropt is None:
        return BerOptConfig(level=level)
    if beropt.level is None and beropt.sparsity != BerOptConfig.sparsity:
        raise ConfigError(
            f"got level={level} and a sparsity of {beropt.sparsity}; either says how many units are kept: leave one out"
        )
    if beropt.level not in (None, level):
        raise ConfigError(f"got level={level} and settings of BerOpt with level {beropt.level}; leave one out")
    return replace(beropt, level=level)


def supports_of(problem: Problem, config: BerOptConfig, half_width: float, clock: Clock) -> list[Found]:
    """Run BerOpt for many queries, on as many cores as there are for them.

    Args:
        problem: which has a layer.
        config: the settings.
        half_width: of the box that a tree's targets come from, at most.
        clock: tells the progress.

    Raises:
        ConfigError: no unit is active at a query, or a set has no unit.
    """
    assert problem.precisions is not None
    tails = [problem.precisions.split.at(query) for query in problem.queries]
    # A tail by hooks is one replica for all.
    n_threads = idle_cores() if all(tail.route == "graph" for tail in tails) else 1

    def work(job: tuple[Tail, int], stop: threading.Event) -> BerOptResult:
        tail, seed = job
        progress = clock.of_one("beropt", stop)
        check_active(tail)
        rng = torch.Generator().manual_seed(seed)
        result = optimize(tail, config, rng=rng, focus=problem.focus, progress=progress)
        progress(config.max_steps, config.max_steps, f"{len(result.units)} units kept")
        return _refused_if_empty(problem, tail, result)

    results = side_by_side(work, list(zip(tails, problem.seeds, strict=True)), n_threads)
    return [
        Found(beropt=result, region=region_of(problem, query, result, half_width))
        for query, result in zip(problem.queries, results, strict=True)
    ]


def levels_of(
    problem: Problem, config: BerOptConfig, levels: Sequence[int], progress: StageProgress | None
) -> list[BerOptResult]:
    """The supporting sets of one query at many levels; a set without units says that none is needed.

    Args:
        problem: of one query, with a layer.
        config: the settings; its level and sparsity are not used.
        levels: 1 (coarse) to 8 (fine).
        progress: called with (step, of how many, text).

    Raises:
        ConfigError: no unit is active at the query.
    """
    assert problem.precisions is not None
    (query,), (seed,) = problem.queries, problem.seeds
    tail = problem.precisions.split.at(query)
    check_active(tail)
    rng = torch.Generator().manual_seed(seed)
    return optimize_levels(tail, config, levels, rng=rng, focus=problem.focus, progress=progress)


def region_of(
    problem: Problem, query: Float[Tensor, " d"], result: BerOptResult, half_width: float
) -> SupportingRegion:
    """The region of a supporting set; its arguments are those of ``supports_of``."""
    assert problem.precisions is not None
    reach = geometry_around(problem.latent, query).reach(half_width)
    return SupportingRegion.of(problem.precisions, query, result.units, result.signs, reach=reach)


def check_active(tail: Tail) -> None:
    """Refuse a layer without an active unit.

    Raises:
        ConfigError: so it is.
    """
    if not bool((tail.a != 0).any()):
        raise ConfigError(
            f"no unit of layer {tail.layer.path!r} is active at this query: all are zero after the non-linearity, "
            "so that none carries the image; choose another query, such as a draw of the prior, or another layer"
        )


def _refused_if_empty(problem: Problem, tail: Tail, result: BerOptResult) -> BerOptResult:
    if len(result.units):
        return result
    config, bypass = result.config, "" if problem.bypass is None else f". {problem.bypass}"
    if config.level is not None and result.fidelity <= error_of(FINEST):
        raise ConfigError(
            f"the supporting set of layer {tail.layer.path!r} is empty at every level: without any of its units the "
            f"image's error is {result.fidelity:.2g}, so that what is looked at does not hang on this layer; choose "
            f"another layer, or another focus{bypass}"
        )
    if config.level is not None:
        raise ConfigError(
            f"the supporting set of layer {tail.layer.path!r} is empty at level {config.level}: without any of its "
            f"units the image's error is {result.fidelity:.2f}, and the level allows {error_of(config.level):.2f}; "
            f"choose a finer level{bypass}"
        )
    raise ConfigError(
        f"the supporting set of layer {tail.layer.path!r} is empty: no unit has theta above "
        f"{config.threshold}; lower the sparsity (now {config.sparsity}) or the threshold{bypass}"
    )
