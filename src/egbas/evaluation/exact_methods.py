# SPDX-License-Identifier: MIT
"""The whole region beside its fair rivals: exact samples, a ball of equal prior mass, random sets as regions.

In: an exploration. Out: samples of each, to be judged like those of the paper's methods. Not in the paper.
"""

import contextlib
from dataclasses import dataclass

from torch import Tensor

from egbas.errors import ConfigError
from egbas.evaluation.baselines import BaselineSamples
from egbas.evaluation.equal_mass import EQUAL_MASS, ball_of_equal_mass
from egbas.evaluation.sanity.measured import random_masks, region_of_set
from egbas.exploration.explore import explore
from egbas.exploration.result import Exploration
from egbas.region import SupportingRegion
from egbas.region.precisions import Precisions
from egbas.samplers.chains import Chains
from egbas.samplers.choice import PRIOR, rng_of
from egbas.samplers.mass import Mass

EXACT, RANDOM_SET = "exact samples", "random set"
EXACT_METHODS = (EXACT, EQUAL_MASS, RANDOM_SET)
RIVALS = (EQUAL_MASS, RANDOM_SET)


@dataclass(frozen=True, kw_only=True)
class ExactSettings:
    """How much work exact rows may take.

    Attributes:
        samples: effective draws wanted of each region.
        max_evaluations: latents that each is asked about at most.
    """

    samples: int = 100
    max_evaluations: int = 200_000


@dataclass(frozen=True, kw_only=True, eq=False)
class ExactSamples:
    """Samples of the exact methods at one query.

    Attributes:
        drawn: of each method; without the ball where the mass was not measured, or is too small for draws of a ball.
        unconverged: the methods whose chains did not converge.
        mass: of the region of the supporting set.
    """

    drawn: tuple[BaselineSamples, ...]
    unconverged: tuple[str, ...]
    mass: Mass | None


def draw_exact(run: Exploration, settings: ExactSettings) -> ExactSamples:
    """Draw exact samples of a run's region, of a ball of its prior mass, and of a random set's region.

    The random set has as many units as the supporting set, drawn from those that are active at the query; their
    boundaries are on the query's side. Its region is sampled as the run's own.

    Args:
        run: the exploration of a layer.
        settings: how much work it may take.

    Raises:
        ConfigError: the prior cannot be restricted to a region.
    """
    inside = _sampled(run, run.support.region, settings, mass=True)
    beside = _sampled(run, _random_region(run), settings, mass=False)
    chains = {EXACT: _chains(inside), RANDOM_SET: _chains(beside)}
    drawn = {name: one.latents for name, one in chains.items()}
    mass = inside.mass
    if mass is not None and mass.is_complete and mass.log10 < 0:
        with contextlib.suppress(ConfigError, ArithmeticError, ValueError):  # a mass beyond what numbers or draws reach
            ball = ball_of_equal_mass(
                run.query, run.latent, mass.log10, len(drawn[EXACT]), rng=rng_of("ball", run.seed)
            )
            drawn[EQUAL_MASS] = ball.latents
    return ExactSamples(
        drawn=tuple(_judged(run, name, drawn[name]) for name in EXACT_METHODS if name in drawn),
        unconverged=tuple(name for name, one in chains.items() if not one.has_converged),
        mass=mass,
    )


def _sampled(run: Exploration, region: SupportingRegion, settings: ExactSettings, *, mass: bool) -> Exploration:
    return explore(
        run.generator,
        run.query,
        region=region,
        rng=run.seed,
        samplers=[PRIOR],
        samples=settings.samples,
        max_evaluations=settings.max_evaluations,
        mass=mass,
        latent=run.latent,
        geometry=run.latent.geometry,
        model_name=run.model_name,
        output=run.network.output,
        inputs=run.network.inputs,
    )


def _chains(run: Exploration) -> Chains:
    if run.exact is None or not len(run.exact.latents):
        raise ConfigError("the exact sampler gave no draws of a region; allow more evaluations")
    return run.exact


def _random_region(run: Exploration) -> SupportingRegion:
    """The region of as many random active units as the supporting set has."""
    own = run.support.region
    tail = own.split.at(run.query)
    (mask,) = random_masks(tail, len(own.units), 1, rng_of("random set", run.seed))
    return region_of_set(Precisions.of(run.network, own.layer), tail, mask, run.latent)


def _judged(run: Exploration, method: str, latents: Tensor) -> BaselineSamples:
    outside = int((~run.latent.contains(latents)).sum())
    return BaselineSamples(method=method, latents=latents, epsilon=None, left_support=outside)
