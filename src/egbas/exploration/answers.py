# SPDX-License-Identifier: MIT
"""From regions to answers: samples of each, their certificate, and what the exact ones say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError, ShapeError
from egbas.exploration.budget import largest_budget
from egbas.exploration.clock import Clock, StageProgress
from egbas.exploration.deviation import LARGE_IMAGE
from egbas.exploration.facts import Facts, facts_of
from egbas.exploration.judges import name_of
from egbas.exploration.problem import Problem
from egbas.exploration.result import Exploration
from egbas.exploration.supports import Found
from egbas.exploration.warnings import warnings_of
from egbas.geometry import geometry_around
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.region import Region, certify
from egbas.samplers.chains import Chains
from egbas.samplers.choice import PRIOR, TREE, UNIFORM, choose_samplers, rng_of
from egbas.samplers.contract import Sampler, Samples, checked
from egbas.samplers.exact import ExactConfig, stay_apart
from egbas.samplers.gbrrt import GbRrtConfig, check_step_size
from egbas.samplers.mass import Mass, mass_of
from egbas.samplers.parts import share_of_query
from egbas.samplers.target import prior_target

SAMPLES = 100  # effective draws of the exact sampler
_FEW_DIMENSIONS = 8  # of a latent, in which the mass of any region is quickly measured


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampling:
    """How regions are sampled.

    Attributes:
        named: names of egbas's samplers, and samplers of the user's own.
        gbrrt: settings of the tree.
        exact: settings of the exact samplers; None where there are none.
        notices: what the user should know of the choice, as sentences.
        mass: whether the prior mass is measured; None: where seconds suffice.
    """

    named: Sequence[str | Sampler]
    gbrrt: GbRrtConfig | None
    exact: ExactConfig | None
    notices: tuple[str, ...] = ()
    mass: bool | None = None

    @classmethod
    def of(
        cls,
        problem: Problem,
        samplers: Sequence[str | Sampler] | None,
        *,
        samples: int,
        max_evaluations: int | None,
        gbrrt: GbRrtConfig | None,
        mass: bool | None = None,
    ) -> "Sampling":
        """Choose the samplers.

        Args:
            problem: what is explored.
            samplers: as asked for; None: the tree and, where the prior can be restricted to a region, exact samples.
            samples: effective draws wanted; 0: the tree alone.
            max_evaluations: bound on those of an exact sampler; None: as many as minutes allow.
            gbrrt: settings of the tree.
            mass: whether the prior mass is measured; None: where seconds suffice.

        Raises:
            ConfigError: the tree's step size is too small or too large around a query, or exact samples would take more
                memory than there is for them.
        """
        named, notices = (samplers, ()) if samplers is not None else _default(samples, problem)
        for query in problem.queries if TREE in named else ():  # before BerOpt, which may take minutes
            check_step_size(gbrrt or GbRrtConfig(), geometry_around(problem.latent, query), query.dtype)
        exact = None
        if {PRIOR, UNIFORM} & {name for name in named if isinstance(name, str)}:
            most = largest_budget(problem.precisions) if max_evaluations is None else max_evaluations
            exact = ExactConfig(samples=max(samples, 1), max_evaluations=most)
            exact.room(problem.latent.size)  # before BerOpt, too
        return cls(named=named, gbrrt=gbrrt, exact=exact, notices=notices, mass=mass)


def check_samples(
    samples: int,
    max_evaluations: int | None,
    samplers: Sequence[str | Sampler] | None,
    gbrrt: GbRrtConfig | None,
    asked: Mapping[str, bool],
) -> None:
    """Refuse what cannot be meant, before any work.

    Args:
        samples: effective draws wanted.
        max_evaluations: bound on those of an exact sampler.
        samplers: as asked for.
        gbrrt: settings of the tree.
        asked: whether there are judges and so on, which look at exact samples of the prior; by their name.

    Raises:
        ConfigError: a number is out of its range or no number, no sampler has such a name, or what was asked for needs
            exact samples.
    """
    for name, value, least in (("samples", samples, 0), ("max_evaluations", max_evaluations, 1)):
        if value is None and name == "max_evaluations":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"got {name}={value!r}; expected a whole number, at least {least}")
    if samples == 0 and {PRIOR, UNIFORM} & set(map(str, samplers or ())):
        raise ConfigError("got samples=0; expected at least 1 for an exact sampler, 0 for the tree alone")
    choose_samplers(samplers if samplers is not None else (TREE,), gbrrt)
    needing = [name for name, is_there in asked.items() if is_there]
    if needing and (samples == 0 or (samplers is not None and PRIOR not in samplers)):
        raise ConfigError(
            f"got {' and '.join(needing)}, which need exact samples of the prior, and this run draws none; ask for "
            "samples, or leave out what needs them"
        )


def no_exact_samples(problem: Problem) -> str | None:
    """Why the prior cannot be restricted to a region of these queries; None where it can."""
    try:
        targets = [prior_target(problem.latent, start) for start in problem.queries]
    except (ConfigError, ShapeError) as error:
        return str(error)
    pairs = zip(targets, problem.queries, strict=True)
    if not all(bool(target.contains(start[None].double())) for target, start in pairs):
        return "the query lies outside the support of the prior"
    return None


def answers(problem: Problem, found: Sequence[Found], sampling: Sampling, clock: Clock) -> list[Exploration]:
    """Sample the region of each query, and say what the samples show.

    Args:
        problem: what is explored.
        found: the region of each query.
        sampling: how.
        clock: for seconds and progress.
    """
    network, latent, starts, seeds = problem.network, problem.latent, problem.queries, problem.seeds
    regions = [one.region for one in found]
    drawn: list[dict[str, Samples]] = [{} for _ in starts]
    chosen = [
        choose_samplers(sampling.named, sampling.gbrrt, sampling.exact, _image_distance(network, start))
        for start in starts
    ]
    for makers in zip(*chosen, strict=True):  # one sampler, for each query
        name = makers[0].name
        stage = "gbrrt" if name == TREE else name
        with clock.stage(stage):
            rngs = [rng_of(name, seed) for seed in seeds]
            each = _sample(makers, regions, starts, latent, rngs, clock.progress(stage))
            for taken, one in zip(drawn, each, strict=True):
                taken[name] = checked(one, name, latent.size)
    with clock.stage("certificate"):
        certificates = [
            {name: certify(region, one.latents) for name, one in taken.items()}
            for region, taken in zip(regions, drawn, strict=True)
        ]
    facts: list[Facts | None] = [None for _ in starts]
    masses: list[Mass | None] = [None for _ in starts]
    if PRIOR in drawn[0]:
        with clock.stage("facts"):
            jobs = zip(starts, drawn, seeds, strict=True)
            facts = [_facts(problem, start, taken, seed) for start, taken, seed in jobs]
        with clock.stage("mass"):
            sizes = zip(regions, starts, seeds, strict=True)
            masses = [_mass(problem, sampling, *size, clock.progress("mass")) for size in sizes]
            for taken, region, mass in zip(drawn, regions, masses, strict=True):
                taken[PRIOR] = _with_share(taken[PRIOR], region, mass)
    return [
        Exploration(
            network=network,
            model_name=problem.model_name,
            latent=latent,
            layer=None if problem.precisions is None else problem.precisions.split.layer,
            query=start,
            seed=seed,
            focus=problem.focus,
            judges=tuple(name for name in map(name_of, problem.judges) if not name.startswith("egbas.")),
            features=None if problem.features is None else name_of(problem.features),
            beropt=one.beropt,
            held=problem.held,
            region=one.region,
            exact_config=sampling.exact,
            samples=taken,
            certificates=checks,
            facts=fact,
            mass=mass,
            seconds=clock.seconds,
            warnings=(
                *problem.network.notices,
                *(text for whose, check in problem.network.weights.items() for text in check.warnings(whose)),
                *([] if problem.bypass is None else [problem.bypass]),
                *warnings_of(start, latent, one.beropt, taken, checks, facts=fact),
                *sampling.notices,
            ),
        )
        for start, seed, one, taken, checks, fact, mass in zip(
            starts, seeds, found, drawn, certificates, facts, masses, strict=True
        )
    ]


def _default(samples: int, problem: Problem) -> tuple[Sequence[str | Sampler], tuple[str, ...]]:
    """The tree and, where the prior can be restricted to a region, exact samples; and why there are none elsewhere."""
    if not samples:
        return (TREE,), ()
    reason = no_exact_samples(problem)
    return ((TREE, PRIOR), ()) if reason is None else ((TREE,), (f"There are no exact samples: {reason}.",))


def _sample(
    samplers: Sequence[Sampler],
    regions: Sequence[Region],
    starts: Sequence[Tensor],
    latent: LatentSpace,
    rngs: Sequence[torch.Generator],
    progress: StageProgress | None,
) -> Sequence[Samples]:
    """The samples of each query: all at once by a sampler that can, else one after another."""
    many = getattr(samplers[0], "sample_many", None)
    if many is not None:
        return many(regions, starts, latent, rngs, progress)
    jobs = zip(samplers, regions, starts, rngs, strict=True)
    return [sampler.sample(region, start, latent, rng, progress) for sampler, region, start, rng in jobs]


def _image_distance(network: Network, start: Float[Tensor, " d"]) -> dict[str, Callable[[Tensor], Tensor]]:
    """What chains have to agree in beside the coordinates: how far the image lies from the query's."""
    if network.image_size > LARGE_IMAGE:
        return {}
    query_image = network.generate(start[None])[0].cpu()

    def distance(z: Tensor) -> Tensor:
        return torch.cat([(x - query_image).flatten(1).norm(dim=1) for x in network.image_batches(z)])

    return {"image distance": distance}


def _facts(problem: Problem, start: Tensor, samples: Mapping[str, Samples], seed: int) -> Facts | None:
    """What the exact samples of the prior say, if there are any."""
    chains = samples.get(PRIOR)
    if not isinstance(chains, Chains):
        return None
    return facts_of(
        problem.network,
        problem.latent,
        start,
        chains,
        rng=rng_of("facts", seed),
        judges=problem.judges,
        features=problem.features,
        focus=problem.focus,
    )


def _mass(
    problem: Problem, sampling: Sampling, region: Region, start: Tensor, seed: int, progress: StageProgress | None
) -> Mass | None:
    """The prior mass of a region, where it was asked for or seconds give it: few dimensions, or a polytope."""
    if sampling.mass is False:
        return None
    linear = getattr(region, "linear", None)
    is_quick = problem.latent.size <= _FEW_DIMENSIONS or (linear is not None and linear() is not None)
    if not is_quick and not sampling.mass:
        return None
    return mass_of(region, start, problem.latent, rng_of("mass", seed), progress=progress)


def _with_share(samples: Samples, region: Region, mass: Mass | None) -> Samples:
    """Chains that stay apart say which share of the region lies in the query's part, where draws of the mass tell."""
    if not isinstance(samples, Chains) or samples.has_converged:
        return samples
    facts: Mapping[str, Any] = samples.facts
    if not stay_apart(facts["r_hat_between_starts"], facts["r_hat_of_query_chains"]):
        return samples
    if mass is None:
        return replace(
            samples, sentence=f"{samples.sentence} --mass (mass=True) tells which share the query's part has."
        )
    from_query = samples.chain >= facts["chains_from_prior"]  # the first chains are those
    share = share_of_query(region, samples.latents[from_query], mass)
    if share is None:
        return samples
    told = {"share_of_query": share.value, "share_low": share.low, "share_high": share.high}
    sentence = f"{samples.sentence} Of the region's mass {share.text} lie in the query's part."
    return replace(samples, sentence=sentence, facts={**facts, **told})
