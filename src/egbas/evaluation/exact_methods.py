# SPDX-License-Identifier: MIT
"""The whole region beside its fair rivals: a ball of equal prior mass, a random set, a network with random weights.

In: an exploration. Out: samples of each, to be judged like those of the paper's methods. Not in the paper.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from egbas.errors import ConfigError
from egbas.evaluation.baselines import BaselineSamples
from egbas.evaluation.equal_mass import EQUAL_MASS, ball_of_equal_mass
from egbas.evaluation.sanity.measured import random_masks, region_of_set
from egbas.evaluation.sanity.randomised import WHOLE, parameters_of, randomised
from egbas.evaluation.sanity.weights import EXPECTED
from egbas.exploration.explore import explore
from egbas.exploration.result import Exploration
from egbas.region import SupportingRegion
from egbas.region.precisions import Precisions
from egbas.samplers.chains import Chains
from egbas.samplers.choice import PRIOR, rng_of
from egbas.samplers.mass import Mass, MassConfig, mass_of

EXACT, RANDOM_SET, RANDOM_WEIGHTS = "exact samples", "random set", "random weights"
RIVALS = (EQUAL_MASS, RANDOM_SET, RANDOM_WEIGHTS)
EXACT_METHODS = (EXACT, *RIVALS)
# The mass gives the radius of a ball alone: a decade more or less changes that by 4 % in 64 dimensions.
MASS = MassConfig(repetitions=2, chains=16, effective=16)


@dataclass(frozen=True, kw_only=True)
class ExactSettings:
    """How much work exact rows may take.

    Attributes:
        samples: effective draws wanted of each region.
        max_evaluations: latents that each is asked about at most.
        mass: how the region's mass is measured where that takes minutes.
    """

    samples: int = 100
    max_evaluations: int = 200_000
    mass: MassConfig = MASS


@dataclass(frozen=True, kw_only=True, eq=False)
class ExactSamples:
    """Samples of the exact methods at one query.

    Attributes:
        drawn: of each method; without the ball where the mass was not measured, or is too small for draws of a ball.
            Without random weights where the copy has no region.
        unconverged: the methods whose chains did not converge.
        mass: of the region of the supporting set.
    """

    drawn: tuple[BaselineSamples, ...]
    unconverged: tuple[str, ...]
    mass: Mass


def draw_exact(run: Exploration, settings: ExactSettings) -> ExactSamples:
    """Draw exact samples of a run's region, of a ball of its prior mass, of a random set's region, of an untrained one.

    The random set has as many units as the supporting set, drawn from those that are active at the query; their
    boundaries are on the query's side. Its region is sampled as the run's own. *Random weights* (Adebayo et al. 2018)
    is the region that the same steps find in a copy of the network whose weights are all random. Its samples are
    latents like the others: the images that are judged are the trained network's.

    Args:
        run: the exploration of a layer.
        settings: how much work it may take.

    Raises:
        ConfigError: the prior cannot be restricted to a region.
    """
    inside = _sampled(run, run.support.region, settings)
    beside = _sampled(run, _random_region(run), settings, mass=False)
    chains = {EXACT: _chains(inside), RANDOM_SET: _chains(beside)}
    with contextlib.suppress(*EXPECTED):  # a copy may have no active unit, or cannot be made
        chains[RANDOM_WEIGHTS] = _chains(_untrained(run, settings))
    drawn = {name: one.latents for name, one in chains.items()}
    mass = inside.mass or mass_of(
        run.support.region, run.query, run.latent, rng_of("mass", run.seed), config=settings.mass
    )
    if mass.is_complete and mass.log10 < 0:
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


def _sampled(
    run: Exploration, region: SupportingRegion, settings: ExactSettings, *, mass: bool | None = None
) -> Exploration:
    return _explored(run, run.generator, settings, region=region, mass=mass)


def _untrained(run: Exploration, settings: ExactSettings) -> Exploration:
    """The same query, layer and settings of BerOpt in a copy of the network whose weights are all random."""
    assert run.layer is not None and run.beropt is not None
    copy = randomised(
        run.generator,
        parameters_of(WHOLE, run.generator, ()),
        run.latent,
        rng=rng_of("randomised weights", run.seed),
        conditions=run.network.conditions,
    )
    return _explored(run, copy, settings, layer=run.layer.path, beropt=run.beropt.config, mass=False)


def _explored(run: Exploration, generator: nn.Module, settings: ExactSettings, **what: Any) -> Exploration:
    """Exact samples at a run's query, with all that the run has set; ``what`` says of which region."""
    return explore(
        generator,
        run.query,
        rng=run.seed,
        samplers=[PRIOR],
        samples=settings.samples,
        max_evaluations=settings.max_evaluations,
        latent=run.latent,
        geometry=run.latent.geometry,
        model_name=run.model_name,
        output=run.network.output,
        inputs=run.network.inputs,
        **what,
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
