# SPDX-License-Identifier: MIT
"""Four questions to an answer: do random weights, random sets, other boundaries or another sampler give the same?

In: a generator, a query, a layer. Out: numbers with intervals, and a verdict in words for each question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig
from egbas.errors import ConfigError
from egbas.evaluation.sanity.measured import Measured, measured_of
from egbas.evaluation.sanity.necessity import Necessity, necessity
from egbas.evaluation.sanity.random_sets import RandomSets, random_sets
from egbas.evaluation.sanity.rival import RivalSampler, rival_sampler
from egbas.evaluation.sanity.weights import RandomisedWeights, randomised_weights
from egbas.exploration.answers import SAMPLES, Sampling, answers, check_samples, no_exact_samples
from egbas.exploration.clock import Clock, Progress
from egbas.exploration.judges import Judge
from egbas.exploration.problem import Problem
from egbas.exploration.queries import seed_of
from egbas.exploration.result import Exploration
from egbas.exploration.supports import check_active, config_of, supports_of
from egbas.latent import LatentSpace
from egbas.network.given import Inputs
from egbas.samplers.choice import PRIOR

RANDOM_SETS, MAX_EVALUATIONS = 3, 100_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Sanity:
    """What the four questions to one query and layer gave.

    Attributes:
        run: the exploration that is questioned, with exact samples.
        weights: copies of the generator with random weights.
        sets: regions of random sets.
        necessity: boundaries of kept and of dropped units, crossed.
        sampler: the region's sampler beside another.
    """

    run: Exploration
    weights: RandomisedWeights
    sets: RandomSets
    necessity: Necessity
    sampler: RivalSampler

    @property
    def verdicts(self) -> dict[str, str]:
        """A verdict in words for each question."""
        return {
            "randomised_weights": self.weights.verdict,
            "random_sets": self.sets.verdict,
            "necessity": self.necessity.verdict,
            "samplers": self.sampler.verdict,
        }

    def rows(self) -> dict[str, Any]:
        """As ``sanity.json`` holds it."""
        layer = self.run.layer
        assert layer is not None
        return {
            "model": self.run.model_name,
            "layer": layer.key,
            "level": self.run.level,
            "seed": self.run.seed,
            "query": self.run.query.tolist(),
            "randomised_weights": self.weights.row(),
            "random_sets": self.sets.row(),
            "necessity": self.necessity.row(),
            "samplers": self.sampler.row(),
            "warnings": list(self.run.warnings),
        }


# BerOpt needs gradients, also where the caller has switched them off.
@torch.inference_mode(mode=False)
@torch.enable_grad()
def check_sanity(  # noqa: PLR0913
    generator: nn.Module,
    z0: Tensor,
    layer: int | str | nn.Module,
    *,
    rng: torch.Generator | int,
    level: int | None = None,
    samples: int = SAMPLES,
    max_evaluations: int = MAX_EVALUATIONS,
    n_sets: int = RANDOM_SETS,
    judges: Sequence[Judge] = (),
    latent: LatentSpace | None = None,
    geometry: str = "auto",
    output: int | str | None = None,
    inputs: Inputs | None = None,
    boundary: str | None = None,
    beropt: BerOptConfig | None = None,
    model_name: str | None = None,
    progress: Progress | None = None,
) -> Sanity:
    """Ask whether an answer could have come of anything else: four questions to one query and layer.

    1. Copies of the generator with random weights (Adebayo et al. 2018): below the layer, above it, everywhere.
    2. Regions of random sets of as many active units, under the same sampler.
    3. Boundaries of kept and of dropped units, each crossed by itself.
    4. The region's sampler beside one that has little in common with it.

    Args:
        generator: G, in eval mode; it is left as it was found, bit for bit.
        z0: the query.
        layer: number, path or module, as for ``egbas.explore``.
        rng: a CPU generator, from which the seed is drawn, or the seed: the same one gives the same numbers.
        level: of the supporting sets, 1 (coarse) to 8 (fine); None: 6.
        samples: effective draws wanted in each region. >= 1.
        max_evaluations: latents that each region is asked about at most.
        n_sets: random sets. >= 1.
        judges: as for ``egbas.explore``; the mean of each score over the regions is told.
        latent: the latent space.
        geometry: of the latents, as for ``egbas.explore``.
        output: which of the generator's outputs is the image, as for ``egbas.explore``.
        inputs: of the generator beside the latent, as for ``egbas.explore``.
        boundary: of the layer's units, as for ``egbas.explore``; a copy with random weights has its own.
        beropt: settings of BerOpt.
        model_name: for reports.
        progress: called with (stage, done, total, text).

    Raises:
        ShapeError, LayerNotFoundError, NetworkError, ConfigError: as ``egbas.explore`` does; the prior cannot be
            restricted to a region; the network cannot be copied; or ``n_sets`` is no positive number.

    Example:
        >>> import torch
        >>> from egbas.cli.selftest import small_network
        >>> found = check_sanity(
        ...     small_network(), torch.tensor([0.3, -0.2]), 1, rng=0, samples=20, max_evaluations=2000, n_sets=1
        ... )
        >>> [copy.kind for copy in found.weights.copies]
        ['head', 'tail', 'whole']
    """
    if isinstance(n_sets, bool) or not isinstance(n_sets, int) or n_sets < 1:
        raise ConfigError(f"got n_sets={n_sets!r}; expected a whole number of random sets, at least 1")
    check_samples(samples, max_evaluations, (PRIOR,), None, {})
    config, seed = config_of(level, beropt), seed_of(rng)
    judged: tuple[str, ...] = ()

    def problem_of(network: nn.Module, place: int | str | nn.Module) -> Problem:
        return Problem.of(
            network,
            [z0],
            [seed],
            place,
            latent=latent,
            geometry=geometry,
            model_name=model_name,
            judges=judges,
            output=output,
            inputs=inputs,
            boundary=boundary,
        )

    problem = problem_of(generator, layer)
    assert problem.precisions is not None
    tail = problem.precisions.split.at(problem.queries[0])
    check_active(tail)
    if (reason := no_exact_samples(problem)) is not None:
        raise ConfigError(f"there are no exact samples, which this needs: {reason}")
    path = problem.precisions.split.layer.path
    judged = _names_of(judges, problem)
    sampling = Sampling.of(problem, (PRIOR,), samples=samples, max_evaluations=max_evaluations, gbrrt=None)

    def explored(of: Problem, tell: Progress | None) -> tuple[Exploration, Measured]:
        found = supports_of(of, config, of.latent.largest_half_width, Clock(tell, 1))
        (run,) = answers(of, found, sampling, Clock(tell, 1))
        assert of.precisions is not None and run.beropt is not None
        own = of.precisions.split.at(of.queries[0])
        kept = torch.zeros(len(own.a), dtype=torch.bool, device=own.a.device)
        kept[run.beropt.units.to(kept.device)] = True
        return run, measured_of(run, own, kept, judged)

    run, trained = explored(problem, progress)
    assert run.beropt is not None and sampling.exact is not None
    latent_space = problem.latent  # with the geometry that was chosen: a random copy may ignore lengths otherwise
    latent, geometry = latent_space, latent_space.geometry
    weights = randomised_weights(
        problem.network.generator,
        path,
        latent_space,
        trained,
        lambda copy: explored(problem_of(copy, path), None)[1],
        conditions=problem.network.conditions,
        seed=seed,
        progress=progress,
    )
    sets = random_sets(problem, tail, trained, n_sets, sampling, judged=judged, progress=progress)
    if progress:
        progress("necessity", 0, 1, "crossing boundaries")
    crossed = necessity(problem, tail, run.beropt.units)
    rival = rival_sampler(problem, run, sampling.exact, progress=Clock(progress, 1).progress("samplers"))
    return Sanity(run=run, weights=weights, sets=sets, necessity=crossed, sampler=rival)


def _names_of(judges: Sequence[Judge], problem: Problem) -> tuple[str, ...]:
    """Names of the scores that judges give: asked about the query's image, which they have answered for already."""
    image = problem.network.generate(problem.queries[0][None]).cpu()
    with torch.no_grad():
        return tuple(str(name) for judge in judges for name in judge(image.clone()))
