# SPDX-License-Identifier: MIT
"""One self-contained HTML page of an exploration: what was fixed, what was free, and how to do it again."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from egbas.beropt import BerOptResult
from egbas.evaluation.comparison import Comparison
from egbas.exploration.facts import Facts
from egbas.exploration.judges import Score
from egbas.exploration.result import Exploration
from egbas.figures import (
    Gallery,
    choose_even,
    choose_spread,
    deviation_drawing,
    freedom_drawing,
    history_drawing,
    kept_units_drawing,
    map_plane,
    plane_drawing,
    plane_window,
)
from egbas.figures.kept import FEATURE_MAPS
from egbas.network import Layer
from egbas.region import SupportingRegion
from egbas.report.command import command
from egbas.report.encode import chart, picture
from egbas.report.template import template
from egbas.samplers.chains import Chains
from egbas.samplers.choice import PRIOR
from egbas.samplers.contract import Samples
from egbas.samplers.gbrrt import OUTSIDE, Tree
from egbas.samplers.mass import told_mass
from egbas.version import __version__

SHOWN_SAMPLES, PICTURED_SAMPLES = 48, 64  # in the report, and in samples.png: the first of these are those


def render(run: Exploration, galleries: Mapping[str, Gallery], comparison: Comparison | None = None) -> str:
    """Render the report of an exploration.

    Args:
        run: the exploration.
        galleries: of the images of each sampler's samples, as ``galleries_of`` gives them.
        comparison: what the baselines gave, for a section beside; None: without.

    Returns:
        An HTML page with everything inside: no other file, no network.
    """
    first = galleries[run.shown]
    leading_first = sorted(run.samples, key=lambda name: name != run.shown)
    content = {
        "version": __version__,
        "model": run.model_name,
        "layer": run.layer,
        "region_name": type(run.region).__name__,
        "decided": _decided(run),
        "title": f"{run.model_name}, {_region_title(run)}",
        "warnings": run.warnings,
        "headline": _headline(run, first),
        "settings": _settings(run),
        "samplers": [_samples(run, name, galleries[name]) for name in leading_first],
        **_fixed(run, first),
        **_free(run, first),
        **_certainty(run),
        **_plane(run),
        **_beside(run, comparison),
        **_certificate(run),
        **_reproduction(run),
    }
    return template("report.html.j2").render(content)


def galleries_of(run: Exploration, *, progress: Callable[[int, int], None] | None = None) -> dict[str, Gallery]:
    """Compute the images of samples that the report and ``samples.png`` show or sum up.

    That is all of the leading sampler's, whose mean and deviation are shown, and of each other those that are pictured.

    Args:
        run: the exploration.
        progress: called with (images computed, all images).

    Returns:
        A gallery for each sampler, the leading one's first; the query is shown first in each.
    """
    leading = _with_query(run, run.shown)
    beside = {
        name: _with_query(run, name)[_chosen(run, name, PICTURED_SAMPLES)] for name in run.samples if name != run.shown
    }
    total, done = len(leading) + sum(map(len, beside.values())), 0

    def tell(here: int, _: int) -> None:
        if progress is not None:
            progress(done + here, total)

    first = Gallery.of(
        run.network.image_batches(leading, progress=tell),
        _chosen(run, run.shown, PICTURED_SAMPLES),
        n_beside=len(leading) - len(run.samples[run.shown].latents),
        image_range=run.network.image_range,
    )
    galleries, done = {run.shown: first}, len(leading)
    for name, latents in beside.items():
        galleries[name] = first.beside(torch.cat(list(run.network.image_batches(latents, progress=tell))))
        done += len(latents)
    return galleries


def _with_query(run: Exploration, name: str) -> Tensor:
    """The samples of a sampler with the query in front; a tree has it there."""
    samples = run.samples[name]
    if isinstance(samples, Tree):
        return samples.latents
    return torch.cat([run.query[None].to(samples.latents), samples.latents])


def _chosen(run: Exploration, name: str, count: int) -> list[int]:
    """Which of them to show: a tree's spread over it, others evenly in the order in which they were drawn."""
    samples = run.samples[name]
    if isinstance(samples, Tree):
        return choose_spread(samples.latents, count)
    return [0, *(1 + i for i in choose_even(len(samples.latents), count - 1))] if len(samples.latents) else [0]


def _layer_name(layer: Layer) -> str:
    return layer.path if layer.number is None else f"{layer.number} ({layer.path})"


def _decided(run: Exploration) -> str | None:
    """The decision region with the classifier that decides; None where the run has none."""
    if run.decision is None:
        return None
    judge = getattr(run.decision.module, "classifier_name", None)
    return f"decision region of class {run.decision.target_class}" + (f" ({judge} decides)" if judge else "")


def _region_title(run: Exploration) -> str:
    decision = None if run.decision is None else f"decision region of class {run.decision.target_class}"
    if run.layer is None:
        return decision or f"region {type(run.region).__name__}"
    return f"layer {_layer_name(run.layer)}{'' if decision is None else f' within the {decision}'}"


def _headline(run: Exploration, gallery: Gallery) -> list[tuple[str, str]]:
    numbers = []
    if run.layer is not None and run.beropt is not None:
        groups = run.groups
        numbers += [
            *([] if groups is None else [(f"{groups[0]:,} / {groups[1]:,}", f"{groups[2]} kept")]),
            (f"{len(run.beropt.units):,} / {run.layer.units:,}", "units kept"),
            (f"{run.beropt.fidelity:.3f}", "relative error of the kept units alone"),
        ]
    if run.tree is not None:
        numbers += [
            (f"{len(run.tree.latents):,}", "samples of the tree, the query among them"),
            (f"{run.tree.acceptance:.0%}", "of its candidates accepted"),
        ]
    for name, samples in run.samples.items():
        if isinstance(samples, Chains):
            word = "" if samples.has_converged else " (NOT CONVERGED)"
            of = "region" if name == PRIOR else f"sampler {name}"
            numbers.append((f"{samples.diagnostics.ess:,.0f}", f"effective draws of the {of}{word}"))
        elif samples is not run.tree:
            numbers.append((f"{len(samples.latents):,}", f"samples of {name}"))
    if run.facts is not None:
        facts = run.facts
        numbers += [
            (f"{facts.mean:.2f}", f"freedom {facts.interval}: 0 held, 1 as free as ever"),
            (f"{facts.distance.q95:.2f}", "of the query's norm: 95 % of the images differ by less"),
        ]
        if run.mass is not None:
            numbers.append((told_mass(run.mass), "prior mass of the region, with its 95 % interval"))
    elif gallery.count:
        numbers.append((f"{float(gallery.deviation.mean()):.3f}", "mean deviation per pixel"))
    certificate = run.certificate
    checked = f"in the region in {certificate.dtype}" if certificate.smallest_margin is not None else "in the region"
    return [*numbers, (f"{certificate.n_inside:,} / {certificate.n_samples:,}", checked)]


def _samples(run: Exploration, name: str, gallery: Gallery) -> dict[str, Any]:
    """One sampler's samples: pictures, and what they are."""
    samples, latents = run.samples[name], _with_query(run, name)
    is_tree = isinstance(samples, Tree)
    away = run.geometry.distances(latents, latents[:1]) if is_tree else (latents - latents[:1]).norm(dim=1)
    count = SHOWN_SAMPLES if is_tree else PICTURED_SAMPLES
    shown = [
        {
            "src": picture(image, gallery.limits),
            "alt": f"sample {i}, {away[i]:.3g} latent units from the query" if i else "the query",
        }
        # The gallery shows as many or more; the first of its nodes of a tree are those.
        for i, image in zip(_chosen(run, name, count), gallery.shown, strict=False)
    ]
    n_shown = len(shown) - 1
    if isinstance(samples, Tree):
        sentence, name = _of_tree(run, samples, n_shown), "the tree"
    elif isinstance(samples, Chains):
        sentence, name = _of_chains(samples, name, n_shown), f"the {name} in the region"
    else:
        sentence = _of_samples(samples, name, n_shown)
    return {"name": name, "images": shown, "sentence": sentence}


def _of_chains(chains: Chains, name: str, n_shown: int) -> str:
    what = "the latent space's own distribution" if name == PRIOR else "the uniform distribution"
    return (
        f"The other {n_shown} are exact samples: draws of {what} restricted to the region, all of it, out of "
        f"{len(chains.latents):,}. {chains.sentence} The region was asked about {chains.evaluations:,} latents."
    )


def _of_tree(run: Exploration, tree: Tree, n_shown: int) -> str:
    certificate = run.certificates[next(name for name, samples in run.samples.items() if samples is tree)]
    side = "on the query's side of every kept boundary" if run.beropt is not None else "in the region"
    inside = f" Every one of them lies {side}." if certificate.is_valid else ""
    return (
        f"The other {n_shown} are samples of its region, out of {len(tree.drawn):,}, chosen so that they spread over "
        f"the whole tree: each next one is the farthest from all before it.{inside}"
    )


def _of_samples(samples: Samples, name: str, n_shown: int) -> str:
    status = f"{samples.status}: {samples.sentence}" if samples.sentence else samples.status
    return (
        f"The other {n_shown} are samples that the sampler {name!r} drew, out of {len(samples.latents):,}, taken "
        "evenly from the order in which they were drawn. "
        f"It asked about {samples.evaluations:,} latents and ended with {status}."
    )


def _fixed(run: Exploration, gallery: Gallery) -> dict[str, Any]:
    leading = run.samples[run.shown]
    limits, which = gallery.limits, "samples of the tree" if isinstance(leading, Tree) else _called(run.shown)
    given = f"The region was given, as an object of the class {type(run.region).__name__}:"
    if run.decision is not None:
        given = f"The region is the decision region of class {run.decision.target_class}, of {run.decision.n_classes}:"
    content: dict[str, Any] = {
        "pictures": [{"src": picture(gallery.shown[0], limits), "alt": "The query", "caption": "The query"}],
        "fixed_sentence": (
            f"{given} no layer was asked for its units. What it says of the image is what was held fixed."
        ),
        "fidelity_sentence": "",
        "status_sentence": "",
        "kept_chart": "",
        "kept_alt": "",
        "history_chart": "",
    }
    if run.source is not None:
        given = gallery.look.pictures(run.source.image[None])[0]
        words = {"alt": f"The image of {run.source.file}", "caption": f"{run.source.file}. {run.source.sentence}"}
        content["pictures"].insert(0, {"src": picture(given, limits), **words})
    if run.layer is not None and run.beropt is not None:
        content |= _of_beropt(run, run.layer, run.beropt)
        if run.held is None:
            masked = gallery.look.pictures(run.masked_image[None])[0]
            caption = f"Drawn from the {len(run.beropt.units):,} kept units alone, all others at zero"
            alt = "Image of the supporting units alone"
            content["pictures"].append({"src": picture(masked, limits), "alt": alt, "caption": caption})
    if gallery.count:
        caption = f"Mean of all {gallery.count:,} {which}: sharp where the region holds the image"
        mean = {"src": picture(gallery.mean, limits), "alt": "Mean of the samples", "caption": caption}
        content["pictures"].append(mean)
    return content


def _of_beropt(run: Exploration, layer: Layer, beropt: BerOptResult) -> dict[str, Any]:
    """What the supporting set says was fixed."""
    carried = "image" if run.held is None else run.held
    within = "" if run.decision is None else f" and in the decision region of class {run.decision.target_class}"
    content = {
        "fixed_sentence": (
            f"Layer {_layer_name(layer)} has {layer.units:,} units ({_times(layer.shape)}). BerOpt found "
            f"{len(beropt.units):,} of them{_in_groups(run)} that carry the {carried}: the supporting units. Each has "
            "a boundary in the latent space where its pre-activation changes sign, and all samples stay on the query's "
            f"side of all of these boundaries{within}. What these units say of the {carried} is what the layer held "
            "fixed."
        ),
        "fidelity_sentence": (
            f"With the kept units alone, the distance to the query's {carried} is {beropt.fidelity:.1%} of the norm "
            "(0% would be no difference). A finer --level keeps more units and brings it closer."
        ),
        "status_sentence": f"{beropt.steps:,} steps; {beropt.status.value}.",
    }
    if len(layer.shape) == FEATURE_MAPS and not layer.channels_last and math.prod(layer.shape[1:]) > 1:
        n_channels = len(torch.unique(beropt.units // math.prod(layer.shape[1:])))
        content["kept_chart"] = chart(kept_units_drawing(beropt.units, layer.shape))
        content["kept_alt"] = (
            f"Where the kept units sit in the layer: by position in its {_times(layer.shape[1:])} feature maps, and "
            f"by channel. {n_channels:,} of {layer.shape[0]:,} channels hold any."
        )
    if beropt.steps:
        steps = range(1, beropt.steps + 1)
        content["history_chart"] = chart(history_drawing(steps, beropt.losses.tolist(), beropt.sizes.tolist()))
    return content


def _in_groups(run: Exploration) -> str:
    told = run.groups
    return "" if told is None else f", all that are active in {told[0]:,} of {told[1]:,} {told[2]},"


def _free(run: Exploration, gallery: Gallery) -> dict[str, Any]:
    if not gallery.count:
        names = (
            "freedom_chart",
            "freedom_sentence",
            "deviation_chart",
            "acceptance_sentence",
            "deviation_of",
            "words",
            "of_each",
        )
        return {**dict.fromkeys(names, ""), "free_sentence": "There are no samples.", "n_free": 0, "judged": []}
    deviation = gallery.spread
    low, high = gallery.look.values
    place = [int(index) for index in np.unravel_index(int(deviation.argmax()), deviation.shape)]  # torch loads sympy
    is_image = gallery.look.kind == "image"
    where = f"row {place[0]}, column {place[1]}" if is_image else f"index {', '.join(map(str, place))}"
    noun = "pixels" if is_image else "values"
    still = float((deviation < 0.01 * (high - low)).float().mean())
    leading = run.samples[run.shown]
    return {
        "freedom_chart": "" if run.freedom is None else chart(freedom_drawing(run.freedom)),
        "freedom_sentence": "" if run.facts is None else f"{_freedom(run.facts)}{_of_one_set(run)}",
        "words": "" if run.facts is None else run.facts.words,
        "judged": [] if run.facts is None else [_judged(name, score) for name, score in run.facts.scores.items()],
        "deviation_chart": chart(deviation_drawing(gallery.deviation)),
        "n_free": gallery.count,
        "of_each": "pixel, averaged over channels" if gallery.look.kind in ("image", "frames") else "value",
        "deviation_of": "samples of the tree" if isinstance(leading, Tree) else _called(run.shown),
        "free_sentence": (
            f"Over the samples the {noun} (from {low:g} to {high:g}) deviate by {float(deviation.mean()):.3f} on "
            f"average and by {float(deviation.max()):.3f} at most, at {where}. "
            f"{still:.0%} of the {noun} hardly move (below 1% of their range)."
        ),
        "acceptance_sentence": "" if run.tree is None else _acceptance(run.tree),
    }


def _certainty(run: Exploration) -> dict[str, Any]:
    """How much of the answer hangs on BerOpt's masks."""
    certainty = run.certainty
    if certainty is None:
        return {"certainty_sentence": "", "certainty_rows": (), "certainty_chart": ""}
    keys = "units", "error", "freedom", "log10_mass"
    formats = "{:,}", "{:.3f}", "{:.2f}", "{:.1f}"
    return {
        "certainty_sentence": certainty.sentence,
        "certainty_rows": [
            [
                "this run" if place == 0 else f"seed {row['seed']}",
                *("" if row[key] is None else text.format(row[key]) for key, text in zip(keys, formats, strict=True)),
                (row["status"] or "").lower().replace("_", " "),
            ]
            for place, row in enumerate(certainty.rows)
        ],
        "certainty_chart": ("" if certainty.agreement is None else chart(freedom_drawing(certainty.agreement.freedom))),
    }


def _called(name: str) -> str:
    return "exact samples of the region" if name == PRIOR else f"samples of {name}"


def _freedom(facts: Facts) -> str:
    distance = facts.distance
    return (
        "The freedom of a pixel is its deviation over exact samples of the region divided by its deviation over the "
        f"prior: 0 is held, 1 as free as ever. Over all pixels it is {facts.mean:.2f}, with a 95 % interval of "
        f"{facts.interval}. Images of the region differ from the query's by {distance.q50:.2f} of its norm in the "
        f"median, by {distance.q05:.2f} to {distance.q95:.2f} in nine of ten.{_in_focus(facts)}"
    )


def _of_one_set(run: Exploration) -> str:
    """That other sets of BerOpt may say otherwise, where none was asked for."""
    if run.beropt is None or run.certainty is not None:
        return ""
    return " The interval is that of this set of units: other seeds of BerOpt find others. --repeats 5 asks them, too."


def _in_focus(facts: Facts) -> str:
    if facts.of_focus is None:
        return ""
    inside, outside = facts.of_focus
    return f" In the focus, which BerOpt looked at, it is {inside}, around it {outside}."


def _judged(name: str, score: Score) -> list[str]:
    return [
        name,
        f"{score.query:.3g}",
        f"{score.region_mean:.3g} +- {score.region_deviation:.2g}",
        f"{score.prior_mean:.3g} +- {score.prior_deviation:.2g}",
        "" if score.freedom is None else f"{score.freedom:.2f}",
        score.word,
    ]


def _acceptance(tree: Tree) -> str:
    outside = int((tree.rejected_reason == OUTSIDE).sum())
    return (
        f"GB-RRT tried {tree.iterations:,} candidates and accepted {tree.acceptance:.1%}; {outside:,} fell outside the "
        f"region and {len(tree.rejected) - outside:,} too close to another sample. Those outside show where the region "
        "ends; without them the samples only show how far the tree went."
    )


def _plane(run: Exploration) -> dict[str, Any]:
    tree = run.tree
    if run.latent.size != 2 or tree is None or not isinstance(run.region, SupportingRegion):
        return {"plane_chart": "", "plane_sentence": ""}
    plane = map_plane(run.region, run.query, plane_window(tree.latents))
    few = len(plane.units) < plane.n_crossing
    return {
        "plane_chart": chart(plane_drawing(plane, tree.latents, tree.parents, tree.rejected, tree.rejected_reason)),
        "plane_sentence": (
            "Blue: the region, the tree that explored it and the accepted nodes. "
            f"Grey: boundaries of {len(plane.units)} kept units"
            + (
                f", of {plane.n_crossing} that cross this window; those that bound the region come first. "
                if few
                else ". "
            )
            + "Crosses: candidates that were rejected. The region may go on where the tree did not."
        ),
    }


def _beside(run: Exploration, comparison: Comparison | None) -> dict[str, Any]:
    if comparison is None:
        return {"comparison_chart": ""}
    from egbas.report.baselines import beside_baselines  # and with it matplotlib

    return beside_baselines(run, comparison)


def _certificate(run: Exploration) -> dict[str, str]:
    check = run.certificate
    told = f"{check.n_inside:,} of {check.n_samples:,} lie in the region"
    if check.smallest_margin is None:
        sentence = f"The region was asked about all samples once more: {told}. It tells no margins."
    else:
        whose = "as the region tells it" if run.beropt is None else "the value of the kept unit nearest to its boundary"
        sentence = (
            f"All samples were computed once more in {check.dtype}: {told}. The smallest margin, {whose}, is "
            f"{check.smallest_margin:.3g}."
        )
    return {"certificate_sentence": f"{sentence}{_of_edges(run)}"}


def _of_edges(run: Exploration) -> str:
    """What is proven of the lines between the nodes of a tree."""
    if run.edges_inside is None:
        return ""
    if run.edges_inside:
        return " The region is a polytope, and so convex: the edges of the tree lie inside, too."
    return " Only the nodes of the tree are checked: an edge between two of them may leave the region and come back."


def _settings(run: Exploration) -> list[tuple[str, list[tuple[str, str]]]]:
    latent = run.latent
    prior = latent.description
    if run.layer is None:
        explored = ("region", _region_title(run) if run.decision else f"given: {type(run.region).__name__}")
    else:
        explored = ("layer", f"{_layer_name(run.layer)}, {run.layer.kind}, {_times(run.layer.shape)}")
    groups = [
        (
            "Run",
            [
                ("model", run.model_name),
                explored,
                *([] if run.network.boundary.kind == "zero" else [("boundaries at", str(run.network.boundary))]),
                ("image", run.network.told_image),
                *([] if run.held is None else [("held", run.held)]),
                ("latent space", f"{_times(latent.shape)}, {prior}"),
                ("geometry", run.geometry.description),
                ("seed", str(run.seed)),
                *((f"seconds, {stage}", f"{seconds:.2f}") for stage, seconds in run.seconds.items()),
            ],
        )
    ]
    if run.beropt is not None:
        groups.append(("BerOpt", _rows(asdict(run.beropt.config))))
    if run.tree is not None:
        groups.append(("GB-RRT", _rows(run.config()["gbrrt"])))
    others = {name: samples for name, samples in run.samples.items() if samples is not run.tree}
    return groups + [
        (f"Sampler {name}", _rows({"status": str(one.status), "evaluations": one.evaluations, **one.facts}))
        for name, one in others.items()
    ]


def _rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), _plain(value)) for name, value in values.items()]


def _plain(value: Any) -> str:
    if value is None:
        return "automatic"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _reproduction(run: Exploration) -> dict[str, str]:
    line, note = command(run)
    return {"command": line, "command_note": note}


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
