# SPDX-License-Identifier: MIT
"""E-GBAS (Jeon et al. 2020, Algorithm 3): BerOpt, the region of its set, samples of the region, and all they give."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig, BerOptResult, BerOptStatus, optimize
from egbas.errors import ConfigError, ShapeError, StartOutsideRegionError
from egbas.exploration.budget import largest_budget
from egbas.exploration.clock import Clock, Progress, StageProgress
from egbas.exploration.facts import LARGE_IMAGE, Facts, facts_of
from egbas.exploration.queries import as_query, latent_of, name_of, seed_of, seeds_of
from egbas.exploration.result import Exploration
from egbas.exploration.warnings import warnings_of
from egbas.geometry import choose_geometry, geometry_around
from egbas.latent import LatentSpace
from egbas.machine.threads import idle_cores, side_by_side
from egbas.network import Network, Tail
from egbas.region import Precisions, Region, SupportingRegion, certify
from egbas.samplers.chains import Chains
from egbas.samplers.choice import PRIOR, TREE, UNIFORM, choose_samplers, rng_of
from egbas.samplers.contract import Sampler, Samples, checked
from egbas.samplers.exact import ExactConfig
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.samplers.mass import Mass, mass_of
from egbas.samplers.target import prior_target

SAMPLES = 100  # effective draws of the exact sampler
_N_ASKED = 3  # latents that a region of the user's own is asked about first
_FEW_DIMENSIONS = 8  # of a latent, in which the mass of any region is quickly measured


# BerOpt needs gradients, also where the caller has switched them off.
@torch.inference_mode(mode=False)
@torch.enable_grad()
def explore(  # noqa: PLR0913  the public face: what to explore, then settings
    generator: nn.Module,
    z0: Tensor,
    layer: int | str | nn.Module | None = None,
    *,
    rng: torch.Generator | int,
    region: Region | None = None,
    samplers: Sequence[str | Sampler] | None = None,
    samples: int = SAMPLES,
    max_evaluations: int | None = None,
    latent: LatentSpace | None = None,
    geometry: Literal["auto", "flat", "sphere"] = "auto",
    beropt: BerOptConfig | None = None,
    gbrrt: GbRrtConfig | None = None,
    model_name: str | None = None,
    progress: Progress | None = None,
) -> Exploration:
    """Explore the region of a layer around a query (Jeon et al. 2020, Algorithm 3), or a region of one's own.

    Args:
        generator: G, in eval mode; it is left as it was found.
        z0: the query, of the latent space's shape or flat (d,).
        layer: number l of a non-linearity, dotted path of a module, or the module; None where ``region`` is given.
        rng: a CPU generator, from which the run's seed is drawn, or that seed itself.
        region: to explore instead of a layer's: anything with ``contains(z)``, as ``egbas.Region`` says. BerOpt is
            skipped then, and the result has no layer and no theta.
        samplers: names of egbas's samplers and samplers of one's own, as ``egbas.Sampler`` says. ``"tree"`` is GB-RRT,
            ``"prior"`` the latent space's distribution restricted to the region, ``"uniform"`` the uniform one. None:
            the tree and the prior.
        samples: effective draws wanted of an exact sampler; 0: the tree alone, where ``samplers`` is None.
        max_evaluations: latents that an exact sampler asks the region about at most, beyond its warm-up and a first
            look, which are always done; it says whether it converged. None: 500,000, or fewer where a latent takes so
            many operations that minutes would become hours.
        latent: the latent space; by default the generator's attribute ``latent``, or else N(0, 1) of z0's shape.
        geometry: ``"flat"``, the paper's; ``"sphere"``, the one through the query around the origin; or ``"auto"``: a
            sphere where ``latent`` says so or the generator ignores a latent's length, G(3z) = G(z), else flat. The
            latent space of the result has what was chosen.
        beropt: settings of BerOpt.
        gbrrt: settings of GB-RRT; step size and half-width follow the extent of the region where they are None.
        model_name: for reports and run directories; by default the zoo's name of the generator, or that of its class.
        progress: called with (stage, done, total, text).

    Returns:
        The samples with everything that led to them.

    Raises:
        ShapeError: the query has the wrong size or values that are not finite, or the region answers in another form.
        LayerNotFoundError: the network has no such layer, or the latent does not reach it.
        NetworkError: the network raised, is in train mode, or gave values that are not finite.
        StartOutsideRegionError: the query does not lie in the region that was given.
        ConfigError: a setting is out of range, the supporting set came out empty, there is neither a layer nor a
            region or both, or a sphere has no query to go through because that is zero.

    Example:
        >>> import egbas, torch
        >>> model = egbas.load_model("dcgan-mnist-2d")
        >>> z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(7))[0]
        >>> run = egbas.explore(model.generator, z0, layer=1, rng=7, gbrrt=egbas.GbRrtConfig(iterations=50))
        >>> bool(run.region.contains(run.latents).all())
        True
    """
    (run,) = explore_many(
        generator,
        [z0],
        layer,
        rng=[seed_of(rng)],
        region=region,
        samplers=samplers,
        samples=samples,
        max_evaluations=max_evaluations,
        latent=latent,
        geometry=geometry,
        beropt=beropt,
        gbrrt=gbrrt,
        model_name=model_name,
        progress=progress,
    )
    return run


@torch.inference_mode(mode=False)
@torch.enable_grad()
def explore_many(  # noqa: PLR0913
    generator: nn.Module,
    queries: Tensor | Sequence[Tensor],
    layer: int | str | nn.Module | None = None,
    *,
    rng: torch.Generator | Sequence[int],
    region: Region | None = None,
    samplers: Sequence[str | Sampler] | None = None,
    samples: int = SAMPLES,
    max_evaluations: int | None = None,
    latent: LatentSpace | None = None,
    geometry: Literal["auto", "flat", "sphere"] = "auto",
    beropt: BerOptConfig | None = None,
    gbrrt: GbRrtConfig | None = None,
    model_name: str | None = None,
    progress: Progress | None = None,
) -> list[Exploration]:
    """Explore the regions of a layer around many queries, side by side, their trees in lock-step.

    Each core that torch leaves idle works on some of the queries, and one forward pass a round serves all of their
    trees; a network that takes all cores, or is on a GPU, has one pass for all. Each exploration is the one that
    ``explore`` gives for its query and seed.

    Args:
        generator: G, as for ``explore``.
        queries: at least one, each of the latent space's shape or flat (d,); a list of them or a tensor.
        layer: as for ``explore``.
        rng: a CPU generator, from which the seed of each run is drawn in order, or those seeds themselves.
        region: as for ``explore``; one for all queries, which all lie in it.
        samplers: as for ``explore``.
        samples: as for ``explore``.
        max_evaluations: as for ``explore``.
        latent: as for ``explore``; by default of the first query's shape.
        geometry: as for ``explore``.
        beropt: settings of BerOpt, for all.
        gbrrt: settings of GB-RRT, for all.
        model_name: as for ``explore``.
        progress: called with (stage, done, total, text), over all queries; maybe from other threads, by one at a time.

    Returns:
        An exploration for each query, in order. ``seconds`` of the stages that they share are divided among them.

    Raises:
        ShapeError, LayerNotFoundError, NetworkError, StartOutsideRegionError, ConfigError: as ``explore`` does, for any
            of the queries; or there is no query, or not one seed for each.

    Example:
        >>> import egbas, torch
        >>> model = egbas.load_model("dcgan-mnist-2d")
        >>> queries = model.latent.sample(3, rng=torch.Generator().manual_seed(0))
        >>> runs = egbas.explore_many(
        ...     model.generator, queries, layer=1, rng=[0, 1, 2], gbrrt=egbas.GbRrtConfig(iterations=50)
        ... )
        >>> [run.seed for run in runs]
        [0, 1, 2]
    """
    _check_choice(layer, region, beropt)
    seeds = seeds_of(rng, len(queries))
    if samples < 0 or (samples == 0 and {PRIOR, UNIFORM} & set(map(str, samplers or ()))):
        raise ConfigError(f"got samples={samples}; expected at least 1 for an exact sampler, 0 for the tree alone")
    choose_samplers(
        samplers if samplers is not None else (TREE,), gbrrt
    )  # what cannot be meant is told before any work
    latent = latent or latent_of(generator, queries[0])
    clock = Clock(progress, len(queries))

    with clock.stage("cut"):  # the name that metrics.json has had for it since the first version
        network = Network(generator, latent.shape)
        latent = choose_geometry(latent, network, geometry)
        starts = [as_query(z0, latent, network) for z0 in queries]
        for start in starts:
            geometry_around(latent, start)  # where a sphere has no query to go through, say so before any work
        precisions = None if layer is None else Precisions.of(network, network.resolve(layer))
    named, notices = (samplers, ()) if samplers is not None else _default_samplers(samples, latent, starts)
    if precisions is None:
        assert region is not None  # one of both, as was checked
        supports = [_Support(beropt=None, region=_holding(region, start)) for start in starts]
    else:
        with clock.stage("beropt"):
            results = _supporting_sets(precisions, starts, seeds, beropt or BerOptConfig(), clock)
            half_width = max((gbrrt or GbRrtConfig()).half_width or 0.0, latent.largest_half_width)
            supports = [
                _Support(beropt=result, region=_region_of(precisions, start, result, latent, half_width))
                for start, result in zip(starts, results, strict=True)
            ]

    most = largest_budget(precisions) if max_evaluations is None else max_evaluations
    exact = ExactConfig(samples=max(samples, 1), max_evaluations=most)
    regions = [support.region for support in supports]
    drawn: list[dict[str, Samples]] = [{} for _ in starts]
    chosen = [choose_samplers(named, gbrrt, exact, _image_distance(network, start)) for start in starts]
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
            facts = [_facts(network, latent, start, taken, seed) for start, taken, seed in jobs]
        with clock.stage("mass"):
            sizes = zip(regions, starts, seeds, strict=True)
            masses = [_mass(region, start, latent, seed) for region, start, seed in sizes]

    return [
        Exploration(
            network=network,
            model_name=model_name or name_of(generator),
            latent=latent,
            layer=None if precisions is None else precisions.split.layer,
            query=start,
            seed=seed,
            beropt=support.beropt,
            region=support.region,
            samples=taken,
            certificates=checks,
            facts=fact,
            mass=mass,
            seconds=clock.seconds,
            warnings=(*warnings_of(start, latent, support.beropt, taken, checks, facts=fact), *notices),
        )
        for start, seed, support, taken, checks, fact, mass in zip(
            starts, seeds, supports, drawn, certificates, facts, masses, strict=True
        )
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Support:
    """The region of a query, and what BerOpt found for it; None where the region was given."""

    beropt: BerOptResult | None
    region: Region


def _default_samplers(
    samples: int, latent: LatentSpace, starts: Sequence[Tensor]
) -> tuple[Sequence[str | Sampler], tuple[str, ...]]:
    """The tree and, where the prior can be restricted to a region, exact samples; and why there are none elsewhere."""
    if not samples:
        return (TREE,), ()
    try:
        targets = [prior_target(latent, start) for start in starts]
    except (ConfigError, ShapeError) as error:
        return (TREE,), (f"There are no exact samples: {error}.",)
    pairs = zip(targets, starts, strict=True)
    if not all(bool(target.contains(start[None].double())) for target, start in pairs):
        return (TREE,), ("There are no exact samples: the query lies outside the support of the prior.",)
    return (TREE, PRIOR), ()


def _check_choice(layer: object, region: object, beropt: BerOptConfig | None) -> None:
    if layer is None and region is None:
        raise ConfigError("got neither a layer nor a region; name a layer, such as layer=1, or give region=")
    if layer is not None and region is not None:
        raise ConfigError(f"got layer={layer!r} and a region; a region of one's own needs no layer: leave one out")
    if region is not None and beropt is not None:
        raise ConfigError("got settings of BerOpt and a region, in which BerOpt is skipped; leave one out")
    if region is not None and not isinstance(region, Region):
        raise ConfigError(f"got {type(region).__name__} as the region; expected an object with contains(z)")


def _holding(region: Region, start: Tensor) -> Region:
    """The region, which must answer as the contract says, and hold the query."""
    answer = region.contains(start.repeat(_N_ASKED, 1))
    if not isinstance(answer, Tensor) or answer.dtype != torch.bool or answer.shape != (_N_ASKED,):
        got = f"{answer.dtype} {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
        raise ShapeError(
            f"the region's contains returned {got} for {_N_ASKED} latents; expected a torch.bool tensor of shape "
            f"({_N_ASKED},): one answer for each latent"
        )
    if not bool(answer.all()):
        raise StartOutsideRegionError("the query lies outside the region that was given; give one that contains it")
    return region


def _region_of(
    precisions: Precisions, start: Tensor, result: BerOptResult, latent: LatentSpace, half_width: float
) -> SupportingRegion:
    reach = geometry_around(latent, start).reach(half_width)
    return SupportingRegion.of(precisions, start, result.units, result.signs, reach=reach)


def _supporting_sets(
    precisions: Precisions, queries: Sequence[Tensor], seeds: Sequence[int], config: BerOptConfig, clock: Clock
) -> list[BerOptResult]:
    """Run BerOpt for many queries, on as many cores as there are for them."""
    tails = [precisions.split.at(query) for query in queries]
    # A tail by hooks is one replica for all.
    n_threads = idle_cores() if all(tail.route == "graph" for tail in tails) else 1

    def work(job: tuple[Tail, int], stop: threading.Event) -> BerOptResult:
        return _supporting_set(*job, config, clock.of_one("beropt", stop))

    return side_by_side(work, list(zip(tails, seeds, strict=True)), n_threads)


def _supporting_set(tail: Tail, seed: int, config: BerOptConfig, progress: StageProgress) -> BerOptResult:
    """Run BerOpt, and refuse a set of no units."""
    if not bool((tail.a != 0).any()):
        raise ConfigError(
            f"no unit of layer {tail.layer.path!r} is active at this query: all are zero after the non-linearity, "
            "so that none carries the image; choose another query, such as a draw of the prior, or another layer"
        )
    result = optimize(tail, config, rng=torch.Generator().manual_seed(seed), progress=progress)
    progress(config.max_steps, config.max_steps, f"{len(result.units)} units kept")
    if result.status is BerOptStatus.EMPTY:
        raise ConfigError(
            f"the supporting set of layer {tail.layer.path!r} is empty: no unit has theta above "
            f"{result.config.threshold}; lower the sparsity (now {result.config.sparsity}) or the threshold"
        )
    return result


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


def _image_distance(network: Network, start: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """What chains have to agree in beside the coordinates: how far the image lies from the query's."""
    if network.image_size > LARGE_IMAGE:
        return {}
    query_image = network.generate(start[None])[0].cpu()

    def distance(z: Tensor) -> Tensor:
        return torch.cat([(x - query_image).flatten(1).norm(dim=1) for x in network.image_batches(z)])

    return {"image distance": distance}


def _facts(
    network: Network, latent: LatentSpace, start: Tensor, samples: Mapping[str, Samples], seed: int
) -> Facts | None:
    """What the exact samples of the prior say, if there are any."""
    chains = samples.get(PRIOR)
    if not isinstance(chains, Chains):
        return None
    return facts_of(network, latent, start, chains, rng=rng_of("facts", seed))


def _mass(region: Region, start: Tensor, latent: LatentSpace, seed: int) -> Mass | None:
    """The prior mass of a region, where seconds give it: few dimensions, or a polytope. None elsewhere."""
    linear = getattr(region, "linear", None)
    if latent.size > _FEW_DIMENSIONS and (linear is None or linear() is None):
        return None
    return mass_of(region, start, latent, rng_of("mass", seed))
