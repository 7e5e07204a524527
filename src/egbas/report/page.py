# SPDX-License-Identifier: MIT
"""One self-contained HTML page of an exploration: what was fixed, what was free, and how to do it again."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from egbas.evaluation.comparison import Comparison
from egbas.exploration.result import Exploration
from egbas.figures import (
    Gallery,
    choose_spread,
    deviation_figure,
    history_figure,
    kept_units_figure,
    map_plane,
    plane_figure,
    plane_window,
)
from egbas.figures.kept import FEATURE_MAPS
from egbas.figures.style import as_images
from egbas.report.baselines import beside_baselines
from egbas.report.command import command
from egbas.report.encode import chart, picture
from egbas.version import __version__

SHOWN_SAMPLES, PICTURED_SAMPLES = 48, 64  # in the report, and in samples.png: the first of these are those


def render(run: Exploration, gallery: Gallery, comparison: Comparison | None = None) -> str:
    """Render the report of an exploration.

    Args:
        run: the exploration.
        gallery: of the images of all its latents, as ``gallery_of`` gives it.
        comparison: what the baselines gave, for a section beside; None: without.

    Returns:
        An HTML page with everything inside: no other file, no network.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    content = {
        "version": __version__,
        "model": run.model_name,
        "layer": run.layer,
        "title": f"{run.model_name}, layer {_layer_name(run)}",
        "warnings": run.warnings,
        "headline": _headline(run, gallery),
        "n_nodes": len(run.latents),
        "settings": _settings(run),
        **_samples(run, gallery),
        **_fixed(run, gallery),
        **_free(run, gallery),
        **_plane(run),
        **beside_baselines(run, comparison),
        **_certificate(run),
        **_reproduction(run),
    }
    return environment.get_template("report.html.j2").render(content)


def gallery_of(run: Exploration, *, progress: Callable[[int, int], None] | None = None) -> Gallery:
    """Compute the images of all samples, and keep what the report and ``samples.png`` show of them.

    Args:
        run: the exploration.
        progress: called with (images computed, all images).
    """
    images = run.network.image_batches(run.latents, progress=progress)
    return Gallery.of(images, choose_spread(run.latents, PICTURED_SAMPLES))


def _iterations(run: Exploration) -> int:
    return len(run.latents) - 1 + len(run.rejected)


def _layer_name(run: Exploration) -> str:
    if run.layer.number is None:
        return run.layer.path
    return f"{run.layer.number} ({run.layer.path})"


def _headline(run: Exploration, gallery: Gallery) -> list[tuple[str, str]]:
    return [
        (f"{len(run.beropt.units):,} / {run.layer.units:,}", "units kept"),
        (f"{run.beropt.fidelity:.3f}", "relative error of the kept units alone"),
        (f"{len(run.latents):,}", "samples, the query among them"),
        (f"{run.tree.acceptance:.0%}", "of the candidates accepted"),
        (f"{float(gallery.deviation.mean()):.3f}", "mean deviation per pixel"),
        (
            f"{run.certificate.n_inside:,} / {run.certificate.n_samples:,}",
            f"in the region in {run.certificate.dtype}",
        ),
    ]


def _samples(run: Exploration, gallery: Gallery) -> dict[str, Any]:
    chosen = choose_spread(run.latents, SHOWN_SAMPLES)
    away = run.geometry.distances(run.latents, run.latents[:1])
    shown = [
        {
            "src": picture(image, gallery.limits),
            "alt": f"sample {i}, {away[i]:.3g} latent units from the query" if i else "the query",
        }
        for i, image in zip(chosen, gallery.shown, strict=False)  # the gallery shows as many or more
    ]
    return {
        "samples": shown,
        "samples_sentence": (
            f"The other {len(chosen) - 1} are samples of its region, out of {len(run.latents) - 1:,}, "
            "chosen so "
            "that they spread over the whole tree: each next one is the farthest from all before it. "
            "Every one of "
            "them lies on the query's side of every kept boundary."
        ),
    }


def _fixed(run: Exploration, gallery: Gallery) -> dict[str, Any]:
    beropt, layer = run.beropt, run.layer
    limits = gallery.limits
    masked = as_images(run.masked_image.detach().float().cpu()[None])[0]
    content: dict[str, Any] = {
        "pictures": [
            {"src": picture(gallery.shown[0], limits), "alt": "The query", "caption": "The query"},
            {
                "src": picture(masked, limits),
                "alt": "Image of the supporting units alone",
                "caption": f"Drawn from the {len(beropt.units):,} kept units alone, all others at zero",
            },
            {
                "src": picture(gallery.mean, limits),
                "alt": "Mean of the samples",
                "caption": f"Mean of all {gallery.count:,} samples: sharp where the layer holds the image",
            },
        ],
        "fixed_sentence": (
            f"Layer {_layer_name(run)} has {layer.units:,} units ({_times(layer.shape)}). BerOpt found "
            f"{len(beropt.units):,} of them that carry the image: the supporting units. Each has a "
            "boundary in the "
            "latent space where its pre-activation changes sign, and all samples stay on the query's side of "
            "all of these boundaries. "
            "What these units say of the image is what the layer held fixed."
        ),
        "fidelity_sentence": (
            f"The image of the kept units alone differs from the query by {beropt.fidelity:.1%} of the "
            "query's "
            "norm (0% would be the same image). A smaller --sparsity keeps more units and brings it closer."
        ),
        "status_sentence": f"{beropt.steps:,} steps; {beropt.status.value}.",
        "kept_chart": "",
        "kept_alt": "",
        "history_chart": "",
    }
    if len(layer.shape) == FEATURE_MAPS and math.prod(layer.shape[1:]) > 1:
        n_channels = len(torch.unique(beropt.units // math.prod(layer.shape[1:])))
        content["kept_chart"] = chart(kept_units_figure(beropt.units, layer.shape))
        content["kept_alt"] = (
            f"Where the kept units sit in the layer: by position in its {_times(layer.shape[1:])} "
            "feature maps, and "
            f"by channel. {n_channels:,} of {layer.shape[0]:,} channels hold any."
        )
    if beropt.steps:
        steps = range(1, beropt.steps + 1)
        content["history_chart"] = chart(history_figure(steps, beropt.losses.tolist(), beropt.sizes.tolist()))
    return content


def _free(run: Exploration, gallery: Gallery) -> dict[str, Any]:
    deviation = gallery.deviation
    low, high = gallery.limits
    row, column = divmod(int(deviation.argmax()), deviation.shape[1])
    still = float((deviation < 0.01 * (high - low)).float().mean())
    accepted = (
        f"GB-RRT tried {_iterations(run):,} candidates and accepted {run.tree.acceptance:.1%}; "
        f"{int((run.rejected_reason == 1).sum()):,} fell outside the region and "
        f"{int((run.rejected_reason == 2).sum()):,} too close to another sample. "
        "Those outside show where the region ends; without them the samples only show how far the tree went."
    )
    return {
        "deviation_chart": chart(deviation_figure(deviation)),
        "free_sentence": (
            f"Within the region the pixels (from {low:g} to {high:g}) deviate by "
            f"{float(deviation.mean()):.3f} on "
            f"average and by {float(deviation.max()):.3f} at most, at row {row}, column {column}. "
            f"{still:.0%} of the pixels hardly move (below 1% of the pixel range)."
        ),
        "acceptance_sentence": accepted,
    }


def _plane(run: Exploration) -> dict[str, Any]:
    if run.latent.size != 2:
        return {"plane_chart": "", "plane_sentence": ""}
    plane = map_plane(run.region, run.query, plane_window(run.latents))
    few = len(plane.units) < plane.n_crossing
    return {
        "plane_chart": chart(plane_figure(plane, run.latents, run.parents, run.rejected, run.rejected_reason)),
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


def _certificate(run: Exploration) -> dict[str, str]:
    found = run.certificate
    sentence = (
        f"All samples were computed once more in {found.dtype}: {found.n_inside:,} of {found.n_samples:,} "
        "lie in the region. The smallest margin, the value of the kept unit nearest to its boundary, is "
        f"{found.smallest_margin:.3g}."
    )
    return {"certificate_sentence": sentence}


def _settings(run: Exploration) -> list[tuple[str, list[tuple[str, str]]]]:
    latent = run.latent
    prior = latent.description
    return [
        (
            "Run",
            [
                ("model", run.model_name),
                ("layer", f"{_layer_name(run)}, {run.layer.kind}, {_times(run.layer.shape)}"),
                ("latent space", f"{_times(latent.shape)}, {prior}"),
                ("geometry", run.geometry.description),
                ("seed", str(run.seed)),
                *((f"seconds, {stage}", f"{seconds:.2f}") for stage, seconds in run.seconds.items()),
            ],
        ),
        ("BerOpt", _rows(asdict(run.beropt.config))),
        ("GB-RRT", _rows(run.config()["gbrrt"])),
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
