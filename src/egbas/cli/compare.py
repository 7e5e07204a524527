# SPDX-License-Identifier: MIT
"""``egbas compare``: E-GBAS beside the baselines, on one query or many."""

import csv
import io
import json as json_format
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from egbas.cli import options, show
from egbas.cli.explore import default_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from egbas.evaluation.comparison import Comparison
    from egbas.exploration.explore import Exploration
    from egbas.figures import Gallery

JSON, CSV, PICTURE, REPORT = "comparison.json", "comparison.csv", "comparison.png", "report.html"
COLUMNS = ("model", "layer", "method", "metric", "mean", "low", "high", "n_queries")


def compare(  # noqa: C901, PLR0913, PLR0915, PLR0917  each option is an argument
    model: options.Model = options.DEFAULT_MODEL,
    layer: options.Layer = options.DEFAULT_LAYER,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the first query; the next ones count up from it.")] = 0,
    queries: Annotated[
        int, typer.Option(metavar="N", min=1, max=options.MOST_QUERIES, help="How many queries; intervals need two.")
    ] = 1,
    latent: options.Latent = None,
    image: options.ImageFile = None,
    encoder: options.Encoder = None,
    force: options.Force = False,
    latent_size: options.LatentSize = None,
    key: options.Key = None,
    activation: options.Activation = None,
    output: options.Output = None,
    input: options.Inputs = None,
    level: options.Level = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Directory to write.", show_default="runs/compare-MODEL-lL-sS"),
    ] = None,
    threshold: options.Threshold = None,
    sparsity: options.Sparsity = None,
    max_steps: options.MaxSteps = None,
    geometry: options.Geometry = options.DEFAULT_GEOMETRY,
    half_width: options.HalfWidth = None,
    step_size: options.StepSize = None,
    iterations: options.Iterations = None,
    device: options.Device = options.DEFAULT_DEVICE,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare the samples of E-GBAS with those of balls around the query: how alike are their images?

    Writes comparison.json, comparison.csv, and of the first query comparison.png and report.html to --out; all or none.
    """
    from dataclasses import replace

    from egbas.cli import settings, starting
    from egbas.errors import ConfigError
    from egbas.evaluation.comparison import Comparison, as_table, draw_all, evaluate, pictured, ratios, summarise
    from egbas.exploration.explore import explore
    from egbas.geometry import choose_geometry
    from egbas.inputs.conditions import find_inputs
    from egbas.inputs.devices import find_device, set_threads
    from egbas.inputs.models import find_model
    from egbas.inputs.queries import find_query, seeded, warnings_of
    from egbas.network import Network
    from egbas.report import galleries_of
    from egbas.storage import check_destination, save_files
    from egbas.storage.destination import DONE
    from egbas.zoo.models import load_classifier

    starting.check_start(latent=latent, image=image, encoder=encoder, force=force)
    if (latent is not None or image is not None) and queries > 1:
        option = "--latent" if image is None else "--image"
        raise ConfigError(f"{option} gives one query, --queries asks for {queries}; leave one of them out")
    named = default_out(model, layer, latent or image or str(seed))
    directory = check_destination(
        out or named.with_name(f"compare-{named.name}"), overwrite, (JSON, CSV, PICTURE, REPORT, DONE)
    )
    chosen = find_model(model, latent_size, latent, key=key, activation=activation)
    seeded(seed + queries)  # so that the last seed is in range, too
    first = find_query(latent if latent is not None else str(seed), chosen.latent)
    beropt, gbrrt = settings.configs(
        level=level,
        threshold=threshold,
        sparsity=sparsity,
        max_steps=max_steps,
        half_width=half_width,
        step_size=step_size,
        iterations=iterations,
    )
    inputs = find_inputs(input)
    where = find_device(device)
    generator = chosen.generator.to(where)
    set_threads(generator, chosen.latent.shape, threads, inputs)
    network = Network(generator, chosen.latent.shape, output=output, inputs=inputs)
    target = network.resolve(settings.layer_key(layer))
    space = choose_geometry(chosen.latent, network, geometry)
    discriminator = None if chosen.discriminator is None else chosen.discriminator.to(where)
    classifier = load_classifier(settings.CLASSIFIER).to(where) if chosen.card is not None else None

    scores, first_run, images = [], None, {}
    for text in network.notices:
        show.warning(text)
    source = None
    with show.progress_bar(quiet) as progress:
        if image is not None:
            first, source, said = starting.query_of_image(
                image, network, space, encoder=encoder, force=force, seed=seed, progress=progress
            )
            for text in said:
                show.warning(text)
        for done, number in enumerate(range(seed, seed + queries)):
            tell = partial(_tell, progress, number, (done, queries))
            z0 = find_query(str(number), chosen.latent) if done else first
            run = explore(
                generator,
                z0.to(where),
                target.key,
                rng=number,
                latent=space,
                geometry=space.geometry,
                output=output,
                inputs=inputs,
                beropt=beropt,
                gbrrt=gbrrt,
                samples=0,
                model_name=chosen.name,
                progress=tell,
            )
            settings.refuse_empty(run)
            samples = draw_all(run, rng=seeded(number))
            scores += evaluate(
                run,
                samples,
                discriminator=discriminator,
                classifier=classifier,
                progress=lambda judged, total, tell=tell: tell("judging", judged, total, ""),
            )
            for text in (*warnings_of(z0, space), *run.warnings):
                if text not in network.notices:
                    show.warning(f"query {number}: {text}")
            if not done:
                first_run, images = replace(run, source=source), pictured(run, samples)
        assert first_run is not None  # there is at least one query
        galleries = galleries_of(
            first_run, progress=lambda done, total: progress("writing", done, total, str(directory))
        )
    comparison = Comparison(images=images, rows=summarise(scores), ratios=ratios(scores))
    content = {"rows": comparison.rows, "ratios": comparison.ratios}
    everything = {
        **content,
        "scores": [vars(score) for score in scores],
        "config": _config(first_run, range(seed, seed + queries), discriminator),
    }
    save_files(files(first_run, galleries, comparison, everything), directory, overwrite=overwrite)
    if json:
        show.as_json(content)
    elif not quiet:
        show.table(*as_table([*comparison.rows, *comparison.ratios]))
        show.say(f"{directory / PICTURE}\n{directory / REPORT}")


def _config(first: "Exploration", seeds: Sequence[int], discriminator: "nn.Module | None") -> dict[str, Any]:
    """What repeats the comparison; of the explorations, the first one's settings."""
    from egbas.reproduce.provenance import discriminator_facts

    return {
        "n_queries": len(seeds),
        "seeds": list(seeds),
        "discriminator": discriminator_facts(discriminator),
        "first": first.config(),
    }


def _tell(  # noqa: PLR0913, PLR0917  the callback's arguments after our own
    progress: show.StageProgress, number: int, queries: tuple[int, int], stage: str, done: int, total: int, text: str
) -> None:
    """Show how far one query is: a bar for each of its stages, or, among many, the text of the bar that counts them."""
    if queries[1] == 1:
        progress(stage, done, total, text)
    else:
        progress("comparing", *queries, f"query {number}: {stage} {done}/{total} {text}")


def files(
    run: "Exploration", galleries: "Mapping[str, Gallery]", comparison: "Comparison", content: dict[str, Any]
) -> dict[str, bytes]:
    """What the directory holds: the content as JSON, the rows as CSV, a picture and the report of the first query."""
    from egbas.report import render
    from egbas.report.baselines import baselines_figure

    buffer = io.BytesIO()
    baselines_figure(run, comparison).savefig(buffer, format="png")
    return {
        JSON: (json_format.dumps(content, indent=2, allow_nan=False) + "\n").encode(),
        CSV: as_csv([*comparison.rows, *comparison.ratios]),
        PICTURE: buffer.getvalue(),
        REPORT: render(run, galleries, comparison).encode(),
    }


def as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows of a summary as CSV; an interval that there is not stays empty."""
    text = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
