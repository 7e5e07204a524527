# SPDX-License-Identifier: MIT
"""Layers by levels for one query: what each layer holds fixed and leaves free, from the coarse to the fine.

In: a generator, a query, layers, levels. Out: a point for each layer and level, with the exploration that it came from.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig, BerOptResult
from egbas.beropt.config import COARSEST, FINEST
from egbas.beropt.groups import groups_of
from egbas.errors import ConfigError
from egbas.exploration.answers import SAMPLES, Sampling, answers, check_samples, no_exact_samples
from egbas.exploration.budget import largest_budget
from egbas.exploration.clock import Clock, Progress
from egbas.exploration.facts import Facts, Within, facts_of
from egbas.exploration.judges import Features, Judge
from egbas.exploration.problem import Problem
from egbas.exploration.queries import seed_of
from egbas.exploration.result import Exploration
from egbas.exploration.supports import Found, check_active, levels_of, region_of
from egbas.latent import LatentSpace
from egbas.machine.settings import alone
from egbas.network import Layer
from egbas.network.given import Given, Inputs
from egbas.network.image_range import ImageRange
from egbas.samplers.chains import Chains
from egbas.samplers.choice import PRIOR, rng_of
from egbas.samplers.diagnostics import Diagnostics

LEVELS = (1, 3, 5, 7)
_SHARE = 2  # of the evaluations that one exploration may take: a path has many
_OF_PRIOR = 400  # draws that stand for the region of no unit, which is everything


@dataclass(frozen=True, kw_only=True, eq=False)
class PathPoint:
    """One layer at one level.

    Attributes:
        layer: which.
        level: 1 (coarse) to 8 (fine).
        beropt: the supporting set.
        run: its exploration; None where the set is empty, so that the region is everything.
        facts: what samples of the region say.
        latents: (n, d) samples of the region.
    """

    layer: Layer
    level: int
    beropt: BerOptResult
    run: Exploration | None
    facts: Facts | None
    latents: Tensor

    def row(self) -> dict[str, Any]:
        """As ``path.json`` holds it; None for what is not known."""
        run, facts = self.run, self.facts
        exact, mass = (None, None) if run is None else (run.exact, run.mass)
        distance = None if facts is None else facts.distance
        return {
            "layer": self.layer.key,
            "level": self.level,
            "sparsity": self.beropt.config.sparsity,
            "units": len(self.beropt.units),
            "error": self.beropt.fidelity,
            "log10_mass": 0.0 if run is None else None if mass is None else mass.log10,
            "log10_mass_low": 0.0 if run is None else None if mass is None or not mass.is_complete else mass.low,
            "log10_mass_high": 0.0 if run is None else None if mass is None else mass.high,
            "freedom": None if facts is None else facts.mean,
            "freedom_low": None if facts is None else facts.low,
            "freedom_high": None if facts is None else facts.high,
            "q05": None if distance is None else distance.q05,
            "q50": None if distance is None else distance.q50,
            "q95": None if distance is None else distance.q95,
            "status": "PRIOR" if exact is None else exact.status,
            "r_hat": None if exact is None else exact.facts["r_hat"],
            "ess": None if exact is None else exact.facts["ess"],
            "evaluations": 0 if exact is None else exact.evaluations,
            "samples": len(self.latents),
            "focus": None if facts is None or facts.focus is None else list(facts.focus),
            "feature_distance": None
            if facts is None or facts.feature_distance is None
            else asdict(facts.feature_distance),
            "words": "" if facts is None else facts.words,
            "judges": {} if facts is None else {name: score.freedom for name, score in facts.scores.items()},
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class LevelPath:
    """Layers by levels for one query.

    Attributes:
        model_name: of the generator.
        query: (d,) z0.
        query_image: G(z0), (c, h, w).
        seed: of everything.
        points: layer by layer, the coarse levels first.
        exploring: gives an image (n, c, h, w) for latents (n, d).
        image_range: of the network's images; None where nothing tells.
    """

    model_name: str
    query: Tensor
    query_image: Tensor
    seed: int
    points: tuple[PathPoint, ...]
    exploring: Callable[[Tensor], Tensor]
    image_range: ImageRange | None = None

    def rows(self) -> list[dict[str, Any]]:
        """As ``path.json`` holds them."""
        return [point.row() for point in self.points]


@runtime_checkable
class Keeper(Protocol):
    """Keeps the supporting sets and the points of one query as soon as they are there, and finds them again."""

    def missing(self, layer: Layer, levels: Sequence[int]) -> list[int]:
        """The levels of a layer whose points are not there."""
        ...

    def sets(
        self, layer: Layer, levels: Sequence[int], make: Callable[[Sequence[int]], Sequence[BerOptResult]]
    ) -> dict[int, BerOptResult]:
        """The supporting sets of a layer by their level; those that are not there are made, all at once."""
        ...

    def point(self, layer: Layer, level: int, make: Callable[[], PathPoint], *, is_patient: bool) -> "PathPoint | None":
        """The point of a layer and a level, made unless it is there.

        None while somebody else makes it, and one is not patient.
        """
        ...


# As explore: BerOpt needs gradients, also where the caller has switched them off.
@alone
def explore_path(  # noqa: PLR0913
    generator: Given,
    z0: Tensor,
    layers: Sequence[int | str | nn.Module],
    levels: Sequence[int] = LEVELS,
    *,
    rng: torch.Generator | int,
    samples: int = SAMPLES,
    max_evaluations: int | None = None,
    focus: Sequence[int] | Tensor | None = None,
    output: int | str | None = None,
    inputs: Inputs | None = None,
    boundary: str | None = None,
    judges: Sequence[Judge] = (),
    features: Features | None = None,
    mass: bool | None = None,
    latent: LatentSpace | None = None,
    geometry: str = "auto",
    beropt: BerOptConfig | None = None,
    model_name: str | None = None,
    keeper: Keeper | None = None,
    progress: Progress | None = None,
) -> LevelPath:
    """Explore a query at many layers and levels, with exact samples of each region.

    The supporting sets of a layer are found as one path: that of a level is the one that ``explore`` finds for it.

    Args:
        generator: G, as for ``explore``.
        z0: the query.
        layers: at least one, each as for ``explore``.
        levels: at least one, 1 (coarse) to 8 (fine).
        rng: a CPU generator, from which the seed is drawn, or the seed.
        samples: effective draws wanted in each region.
        max_evaluations: latents asked about in each region, at most; None: half of what ``explore`` may take.
        focus: as for ``explore``.
        output: as for ``explore``.
        inputs: as for ``explore``.
        boundary: as for ``explore``.
        judges: as for ``explore``.
        features: as for ``explore``.
        mass: as for ``explore``.
        latent: the latent space.
        geometry: of the latents.
        beropt: settings of BerOpt; sparsity and level are not used.
        model_name: for reports.
        keeper: of sets and points that are there, so that a path that was stopped goes on; None: all are made.
        progress: called with (stage, done, total, text).

    Raises:
        ShapeError, LayerNotFoundError, NetworkError, ConfigError: as ``explore`` does, or there is no layer or level,
            or a layer has no active unit; before any work.
    """
    wanted = _checked(layers, levels)
    check_samples(samples, max_evaluations, (PRIOR,), None, {})
    seed = seed_of(rng)
    problems: dict[str, Problem] = {}  # by the layer's path: one may be named by its number, too
    for layer in layers:
        problem = Problem.of(
            generator,
            [z0],
            [seed],
            layer,
            latent=latent,
            geometry=geometry,
            model_name=model_name,
            focus=focus,
            output=output,
            inputs=inputs,
            boundary=boundary,
            judges=judges,
            features=features,
        )
        _check_samplable(problem, beropt)
        problems.setdefault(_layer_of(problem).path, problem)
    rows = [
        _Row(
            problem=problem,
            config=beropt or BerOptConfig(),
            levels=wanted,
            sampling=Sampling.of(
                problem,
                (PRIOR,),
                samples=samples,
                max_evaluations=max_evaluations or max(largest_budget(problem.precisions) // _SHARE, 1),
                gbrrt=None,
                mass=mass,
            ),
            keeper=keeper,
            progress=progress,
        )
        for problem in problems.values()
    ]
    points = _points(rows, progress)
    problem = next(iter(problems.values()))
    network, query = problem.network, problem.queries[0]
    return LevelPath(
        model_name=problem.model_name,
        query=query,
        query_image=network.generate(query[None])[0].cpu(),
        seed=seed,
        points=points,
        exploring=lambda z: torch.cat(list(network.image_batches(z))),
        image_range=network.image_range,
    )


def check_delta(delta: float) -> None:
    """Refuse a distance that is none.

    Args:
        delta: of Definition 6, relative to the norm of the query's image. > 0.

    Raises:
        ConfigError: it is no positive number.
    """
    if isinstance(delta, bool) or not isinstance(delta, int | float) or not 0 < delta < float("inf"):
        raise ConfigError(f"got delta={delta!r}; expected a positive relative distance, such as 0.4")


@alone
def level_within(  # noqa: PLR0913
    generator: Given,
    z0: Tensor,
    layer: int | str | nn.Module,
    delta: float,
    *,
    rng: torch.Generator | int,
    samples: int = SAMPLES,
    max_evaluations: int | None = None,
    focus: Sequence[int] | Tensor | None = None,
    output: int | str | None = None,
    inputs: Inputs | None = None,
    boundary: str | None = None,
    latent: LatentSpace | None = None,
    geometry: str = "auto",
    beropt: BerOptConfig | None = None,
    progress: Progress | None = None,
) -> Within:
    """The coarsest level at which 95 % of the images of the region differ from the query's by less than delta.

    The levels are asked one after another, from the first. Their regions are nested, and yet the distance need not
    fall at every step: a finer region may leave out what lies nearest. A set without units holds nothing; the next
    level is asked then.

    Args:
        generator: as for ``explore``, like all that are not named here.
        z0: the query.
        layer: of it.
        delta: of Definition 6, relative to the norm of the query's image. > 0.
        rng: a CPU generator, or a seed.
        samples: effective draws wanted in each region.
        max_evaluations: in each region, at most.
        focus: part of the image.
        output: that is the image.
        inputs: of the generator beside the latent.
        boundary: of the layer's units.
        latent: the latent space.
        geometry: of the latents.
        beropt: settings of BerOpt; sparsity and level are not used.
        progress: called with (stage, done, total, text).

    Raises:
        ConfigError: no level does, delta is not positive, or so much of the prior lies within it that nothing has to be
            held; and all that ``explore`` raises.
    """
    check_delta(delta)
    check_samples(samples, max_evaluations, (PRIOR,), None, {})
    problem = Problem.of(
        generator,
        [z0],
        [seed_of(rng)],
        layer,
        latent=latent,
        geometry=geometry,
        model_name=None,
        focus=focus,
        output=output,
        inputs=inputs,
        boundary=boundary,
    )
    _check_samplable(problem, beropt)
    sampling = Sampling.of(problem, (PRIOR,), samples=samples, max_evaluations=max_evaluations, gbrrt=None)
    levels = range(COARSEST, FINEST + 1)
    results = levels_of(problem, beropt or BerOptConfig(), levels, Clock(progress, 1).progress("beropt"))
    reached: dict[int, float] = {}
    unconverged: list[int] = []
    for level, result in zip(levels, results, strict=True):
        point = _point(problem, result, level, sampling, progress)
        q95 = float("inf") if point.facts is None else point.facts.distance.q95
        if point.run is None:
            if q95 < delta:
                raise ConfigError(
                    f"95 % of all images of the prior lie within {q95:.2f} of the query's: nothing has to be held for "
                    f"{delta:g}; choose a smaller delta"
                )
            continue
        reached[level] = q95
        if point.run.exact is not None and not point.run.exact.has_converged:
            unconverged.append(level)
        if progress:
            progress("delta", level, FINEST, f"level {level}: 95 % of the images within {q95:.2f}")
        if q95 < delta:
            return Within(delta=float(delta), level=level, reached=reached, unconverged=tuple(unconverged))
    if not reached:
        raise ConfigError(
            f"no level of this layer needs a unit, and 95 % of the images do not stay within {delta:g} of the query's: "
            "what is looked at does not hang on the layer; choose another layer, or another focus"
            + ("" if problem.bypass is None else f". {problem.bypass}")
        )
    least = min(reached, key=reached.__getitem__)
    raise ConfigError(
        f"at no level of this layer do 95 % of the images stay within {delta:g} of the query's: the nearest is level "
        f"{least}, where they stay within {reached[least]:.2f}; choose a larger delta, or a deeper layer"
    )


def _checked(layers: Sequence[object], levels: Sequence[int]) -> list[int]:
    """The levels in order, each once.

    Raises:
        ConfigError: there is no layer or level, or one that is no level.
    """
    are_lists = all(isinstance(one, Sequence) and not isinstance(one, str) for one in (layers, levels))
    if not are_lists or not layers or not levels or not all(type(n) is int and COARSEST <= n <= FINEST for n in levels):
        raise ConfigError(
            f"got layers {layers!r} and levels {levels!r}; expected a list of at least one layer, and one of levels "
            f"from {COARSEST} to {FINEST}"
        )
    return sorted(set(levels))


def _check_samplable(problem: Problem, beropt: BerOptConfig | None) -> None:
    """Refuse a layer without an active unit or without the groups asked for, and a prior that cannot be restricted.

    All of that before any work.

    Raises:
        ConfigError: so it is.
    """
    assert problem.precisions is not None
    tail = problem.precisions.split.at(problem.queries[0])
    check_active(tail)
    groups_of(tail.layer, (beropt or BerOptConfig()).units)
    if (reason := no_exact_samples(problem)) is not None:
        raise ConfigError(f"there are no exact samples, which this needs: {reason}")


@dataclass(kw_only=True, eq=False)
class _Row:
    """The points of a layer, which share the search for their supporting sets.

    Attributes:
        problem: of the layer.
        config: of BerOpt.
        levels: in order.
        sampling: of the regions.
        keeper: of what is there.
        progress: as for ``explore_path``.
        found: the sets that are known, by their level.
    """

    problem: Problem
    config: BerOptConfig
    levels: Sequence[int]
    sampling: Sampling
    keeper: Keeper | None
    progress: Progress | None
    found: dict[int, BerOptResult] = field(default_factory=dict)

    def point(self, level: int, *, is_patient: bool) -> PathPoint | None:
        """The point of a level; None while somebody else makes it, and one is not patient."""

        def make() -> PathPoint:
            return _point(self.problem, self._set(level), level, self.sampling, self.progress)

        if self.keeper is None:
            return make()
        return self.keeper.point(_layer_of(self.problem), level, make, is_patient=is_patient)

    def _set(self, level: int) -> BerOptResult:
        """The supporting set of a level; with the first that is asked for, those of all levels without a point."""
        if level not in self.found:
            layer, keeper = _layer_of(self.problem), self.keeper
            some = self.levels if keeper is None else sorted({level, *keeper.missing(layer, self.levels)})
            self.found |= (
                dict(zip(some, self._search(some), strict=True))
                if keeper is None
                else keeper.sets(layer, some, self._search)
            )
        return self.found[level]

    def _search(self, levels: Sequence[int]) -> list[BerOptResult]:
        return levels_of(self.problem, self.config, levels, Clock(self.progress, 1).progress("beropt"))


def _points(rows: Sequence[_Row], progress: Progress | None) -> tuple[PathPoint, ...]:
    """The points of all rows in order; what somebody else is just making is left to them, and looked for in the end."""
    found: dict[tuple[int, int], PathPoint] = {}
    wanted = [(i, level) for i, row in enumerate(rows) for level in row.levels]
    for is_patient in (False, True):
        for i, level in wanted:
            point = None if (i, level) in found else rows[i].point(level, is_patient=is_patient)
            if point is not None:
                found[i, level] = point
                if progress:
                    progress("path", len(found), len(wanted), _told(point))
    return tuple(found[place] for place in wanted)


def _point(
    problem: Problem, result: BerOptResult, level: int, sampling: Sampling, progress: Progress | None
) -> PathPoint:
    layer = _layer_of(problem)
    if not len(result.units):
        latents, facts = _everything(problem)
        return PathPoint(layer=layer, level=level, beropt=result, run=None, facts=facts, latents=latents)
    region = region_of(problem, problem.queries[0], result, problem.latent.largest_half_width)
    found = [Found(beropt=result, region=region)]
    (run,) = answers(problem, found, sampling, Clock(_without_bar(progress), 1))
    assert run.exact is not None
    return PathPoint(layer=layer, level=level, beropt=result, run=run, facts=run.facts, latents=run.exact.latents)


def _layer_of(problem: Problem) -> Layer:
    assert problem.precisions is not None
    return problem.precisions.split.layer


def _without_bar(progress: Progress | None) -> Progress | None:
    """Stages of one point, told under the name of the path."""
    if progress is None:
        return None

    def tell(stage: str, done: int, total: int, text: str) -> None:
        if stage in (PRIOR, "mass"):
            progress(stage, done, total, text)

    return tell


def _everything(problem: Problem) -> tuple[Tensor, Facts | None]:
    """Draws of the prior, for a set of no unit: nothing is held."""
    (query,), (seed,) = problem.queries, problem.seeds
    latents = problem.latent.sample(_OF_PRIOR, rng_of(PRIOR, seed)).to(query)
    independent = Diagnostics(r_hat=1.0, ess=float(_OF_PRIOR), worst="none", n_chains=_OF_PRIOR, n_draws=1)
    chains = Chains(
        latents=latents,
        status="CONVERGED",
        sentence="Independent draws of the prior: the set is empty, and nothing is held.",
        evaluations=0,
        facts={},
        chain=torch.arange(_OF_PRIOR),
        diagnostics=independent,
    )
    facts = facts_of(
        problem.network,
        problem.latent,
        query,
        chains,
        rng=rng_of("facts", seed),
        judges=problem.judges,
        features=problem.features,
        focus=problem.focus,
    )
    return latents, facts


def _told(point: PathPoint) -> str:
    place = f"layer {point.layer.key}, level {point.level}"
    freedom = "" if point.facts is None else f", freedom {point.facts.mean:.2f}"
    return f"{place}: {len(point.beropt.units)} units{freedom}"
