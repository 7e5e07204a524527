# SPDX-License-Identifier: MIT
"""E-GBAS (Jeon et al. 2020, Algorithm 3): BerOpt, the region of its set, samples of the region, and all they give."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig
from egbas.exploration.answers import SAMPLES, Sampling, answers, check_samples
from egbas.exploration.clock import Clock, Progress
from egbas.exploration.judges import Features, Judge
from egbas.exploration.problem import Problem, check_choice
from egbas.exploration.queries import seed_of, seeds_of
from egbas.exploration.repeats import certainty_by, check_repeats, find_again
from egbas.exploration.result import Exploration
from egbas.exploration.supports import Found, config_of, supports_of
from egbas.latent import LatentSpace
from egbas.machine.settings import alone
from egbas.network.given import Given, Inputs
from egbas.region import Intersection, Region
from egbas.samplers.contract import Sampler
from egbas.samplers.gbrrt import GbRrtConfig


@alone
def explore(  # noqa: PLR0913  the public face: what to explore, then settings
    generator: Given,
    z0: Tensor,
    layer: int | str | nn.Module | None = None,
    *,
    rng: torch.Generator | int,
    region: Region | Literal["class"] | None = None,
    classifier: Given | None = None,
    hold: str | None = None,
    samplers: Sequence[str | Sampler] | None = None,
    samples: int = SAMPLES,
    max_evaluations: int | None = None,
    level: int | None = None,
    focus: Sequence[int] | Tensor | None = None,
    output: int | str | None = None,
    inputs: Inputs | None = None,
    boundary: str | None = None,
    judges: Sequence[Judge] = (),
    features: Features | None = None,
    mass: bool | None = None,
    repeats: int = 1,
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
            skipped then, and the result has no layer and no theta. ``"class"`` is the decision region of the class that
            ``classifier`` gives the query; with a layer beside it, or an ``egbas.DecisionRegion``, the intersection of
            that and the layer's region is explored.
        classifier: of images, in eval mode: maps (n, c, h, w) to logits (n, classes). Its layers may be explored, too:
            their paths begin with ``classifier.``, the generator's with ``generator.``.
        hold: the output that BerOpt's distance is measured in: ``"image"``, ``"logits"``, ``"probabilities"``, or the
            name of any other that the network returns. None: the logits where there is a classifier, else the image.
        samplers: names of egbas's samplers and samplers of one's own, as ``egbas.Sampler`` says. ``"tree"`` is GB-RRT,
            ``"prior"`` the latent space's distribution restricted to the region, ``"uniform"`` the uniform one. None:
            the tree and the prior.
        samples: effective draws wanted of an exact sampler; 0: the tree alone, where ``samplers`` is None.
        max_evaluations: latents that an exact sampler asks the region about at most, beyond its warm-up and a first
            look, which are always done; it says whether it converged. None: 500,000, or fewer where a latent takes so
            many operations that minutes would become hours.
        level: how faithful the supporting set is to be at the query, from 1 (coarse: a relative error of 0.5) to 8
            (fine: 0.03), ``egbas.error_of(level)``. None: 6, unless ``beropt`` is given, whose sparsity decides then.
        focus: the part of the image that BerOpt's distance counts: a box (x0, y0, x1, y1) in pixels, the right and the
            lower end not in it, or a mask (h, w). None: all of it.
        output: which of the generator's outputs is the image: an index, a key or an attribute, or several with dots
            between (``"images.-1"``). None: the entry ``"image"``, or else the first tensor that may be images; where
            there are several, a warning says so.
        inputs: what the generator's forward takes beside the latent, by the names of its arguments: labels, noise,
            styles, switches. They stay the same for all latents. A tensor (1, ...) is repeated for each latent; other
            tensors, texts, numbers and lists of these are handed over as they are. A whole number that the network does
            not take as such is a class: a label for each latent (n,), or one-hot.
        boundary: where the boundaries of a layer's units lie among their pre-activations: ``"zero"``; ``"turning"``,
            the point next to zero where the activation begins to rise or to fall, -1.278 for SiLU; or ``"quantile:Q"``,
            each unit's own quantile over the prior, Q in (0, 1). Masks are the same for all. None: zero.
        judges: each called with images (n, c, h, w) on the CPU, gives a dict from names to scores (n,), the same names
            each time; what the region does to a score stands in ``run.facts.scores``. Brightness, contrast and colour
            are always judged. All are asked about the query's image before any work.
        features: called with images (n, c, h, w), gives a tensor with a row for each; distances are measured in it,
            too (``run.facts.feature_distance``).
        mass: whether the prior mass of the region is measured. None: where seconds suffice, which is in up to eight
            dimensions, and in polytopes. True: also where that takes minutes. False: nowhere.
        repeats: how often BerOpt is run, from 1 to 1000, with other masks each time. The run's answer stays that of the
            first; from two on ``run.certainty`` says how much of it hangs on the masks.
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
        classifier=classifier,
        hold=hold,
        samplers=samplers,
        samples=samples,
        max_evaluations=max_evaluations,
        level=level,
        focus=focus,
        output=output,
        inputs=inputs,
        boundary=boundary,
        judges=judges,
        features=features,
        mass=mass,
        repeats=repeats,
        latent=latent,
        geometry=geometry,
        beropt=beropt,
        gbrrt=gbrrt,
        model_name=model_name,
        progress=progress,
    )
    return run


@alone
def explore_many(  # noqa: PLR0913
    generator: Given,
    queries: Tensor | Sequence[Tensor],
    layer: int | str | nn.Module | None = None,
    *,
    rng: torch.Generator | Sequence[int],
    region: Region | Literal["class"] | None = None,
    classifier: Given | None = None,
    hold: str | None = None,
    samplers: Sequence[str | Sampler] | None = None,
    samples: int = SAMPLES,
    max_evaluations: int | None = None,
    level: int | None = None,
    focus: Sequence[int] | Tensor | None = None,
    output: int | str | None = None,
    inputs: Inputs | None = None,
    boundary: str | None = None,
    judges: Sequence[Judge] = (),
    features: Features | None = None,
    mass: bool | None = None,
    repeats: int = 1,
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
        region: as for ``explore``; one for all queries, which all lie in it, or ``"class"``, each query's own.
        classifier: as for ``explore``.
        hold: as for ``explore``.
        samplers: as for ``explore``.
        samples: as for ``explore``.
        max_evaluations: as for ``explore``.
        level: as for ``explore``.
        focus: as for ``explore``.
        output: as for ``explore``.
        inputs: as for ``explore``.
        boundary: as for ``explore``.
        judges: as for ``explore``.
        features: as for ``explore``.
        mass: as for ``explore``.
        repeats: as for ``explore``.
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
    check_choice(layer, region, has_beropt=beropt is not None or level is not None or focus is not None)
    seeds = seeds_of(rng, len(queries))
    asked = {"judges": bool(judges), "features": features is not None, "mass": bool(mass)}
    check_samples(samples, max_evaluations, samplers, gbrrt, asked)
    config = config_of(level, beropt)
    check_repeats(repeats, has_layer=region is None, masks=config.masks)
    clock = Clock(progress, len(queries))

    with clock.stage("cut"):  # the name that metrics.json has had for it since the first version
        problem = Problem.of(
            generator,
            queries,
            seeds,
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
            classifier=classifier,
            hold=hold,
        )
        given = None if region is None else problem.decision_regions(region)
        sampling = Sampling.of(
            problem, samplers, samples=samples, max_evaluations=max_evaluations, gbrrt=gbrrt, mass=mass
        )
    if given is not None and layer is None:
        return answers(problem, [Found(beropt=None, region=one) for one in given], sampling, clock)
    half_width = max((gbrrt or GbRrtConfig()).half_width or 0.0, problem.latent.largest_half_width)
    with clock.stage("beropt"):
        found = supports_of(problem, config, half_width, clock)
    if given is not None:
        pairs = zip(found, given, strict=True)
        found = [replace(one, region=Intersection([one.region, decision])) for one, decision in pairs]
    if repeats == 1:
        return answers(problem, found, sampling, clock)
    with clock.stage("repeats"):
        again = [find_again(problem, place, repeats, config, half_width, progress) for place in range(len(seeds))]
    runs = answers(problem, found, sampling, clock)
    with clock.stage("certainty"):
        certain = [certainty_by(run, others, sampling, progress) for run, others in zip(runs, again, strict=True)]
    return [replace(run, certainty=one, seconds=clock.seconds) for run, one in zip(runs, certain, strict=True)]
