# SPDX-License-Identifier: MIT
"""``egbas compare``: E-GBAS beside the baselines, on one query or many."""

import csv
import io
import json as json_format
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from egbas.cli import options, show
from egbas.cli.explore import default_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from egbas.evaluation.comparison import Comparison
    from egbas.exploration.explore import Exploration
    from egbas.figures import Gallery

JSON, CSV, PICTURE, REPORT = "comparison.json", "comparison.csv", "comparison.png", "report.html"
COLUMNS = ("model", "layer", "method", "metric", "mean", "low", "high", "n_queries")


def compare(  # noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917  each option is an argument
    model: options.Model = options.DEFAULT_MODEL,
    layer: options.Layers = options.DEFAULT_LAYER,
    seed: options.Seeds = "0",
    queries: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=options.MOST_QUERIES,
            help="How many queries, counting up from --seed; intervals need two.",
            show_default="those of --seed",
        ),
    ] = None,
    latent: options.Latents = None,
    image: options.ImageFile = None,
    encoder: options.Encoder = None,
    force: options.Force = False,
    bank: options.Bank = None,
    latent_size: options.LatentSize = None,
    key: options.Key = None,
    activation: options.Activation = None,
    output: options.Output = None,
    input: options.Inputs = None,
    boundary: options.Boundary = None,
    level: options.Levels = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Directory to write.", show_default="runs/compare-MODEL-lL-sS"),
    ] = None,
    store: options.Store = None,
    threshold: options.Threshold = None,
    sparsity: options.Sparsity = None,
    max_steps: options.MaxSteps = None,
    geometry: options.Geometry = options.DEFAULT_GEOMETRY,
    half_width: options.HalfWidth = None,
    step_size: options.StepSize = None,
    iterations: options.Iterations = None,
    classifier: options.OwnClassifier = None,
    critic: options.Critic = None,
    device: options.Device = options.DEFAULT_DEVICE,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare the samples of E-GBAS with those of balls around the query: how alike are their images?

    Writes comparison.json, comparison.csv, and of the first query comparison.png and report.html to --out; all or none.
    Several layers or levels have a directory each in --out. What is finished when it is stopped is found again.
    """
    given = {**locals(), "samples": 0, "repeats": 1}
    for judge in ("classifier", "critic"):  # of the images alone: the explorations are the same
        del given[judge]
    from egbas.cli import ranges, settings, starting
    from egbas.cli.cell import Cell, compared
    from egbas.cli.workshop import ModelWorkshop, explore_options
    from egbas.errors import ConfigError
    from egbas.evaluation.comparison import as_table
    from egbas.inputs.conditions import find_inputs
    from egbas.inputs.devices import find_device, set_threads
    from egbas.inputs.models import find_model
    from egbas.inputs.queries import find_rows, seeded
    from egbas.reproduce.own_judges import OwnJudges
    from egbas.storage import check_destination, save_result
    from egbas.storage.destination import DONE, INPUTS, SAMPLES, check_several, finished_before
    from egbas.storage.store import hidden_beside, kept_in
    from egbas.sweep.fingerprint import probes_of

    starting.check_start(latent=latent, image=image, encoder=encoder, force=force, bank=bank)
    seeds = ranges.numbers(seed, "--seed")
    if queries is not None and len(seeds) > 1:
        raise ConfigError(f"--seed {seed} names {len(seeds)} queries, --queries asks for {queries}; leave one out")
    n_queries = queries or len(seeds)
    if (latent is not None or image is not None) and n_queries > 1:
        option = "--latent" if image is None else "--image"
        raise ConfigError(
            f"{option} gives the queries, --seed and --queries ask for {n_queries}; leave one of them out"
        )
    named = default_out(model, layer, latent or image or seed)
    place = out or named.with_name(f"compare-{named.name}")
    levels = None if level is None else ranges.levels(level)
    asked = [(one, grade) for one in ranges.layers(layer, (), 0) for grade in levels or [None]]
    settings.check_one(level=None if levels is None else levels[0], sparsity=sparsity)
    written = (JSON, CSV, PICTURE, REPORT, SAMPLES, INPUTS, DONE)
    if len(asked) > 1:
        check_several(place, written)
    places = {  # whether a finished one is the one asked for, is looked at below
        cell: check_destination(place if len(asked) == 1 else place / folder_of(*cell), True, written) for cell in asked
    }
    own = OwnJudges.named(classifier, critic)
    chosen = find_model(model, latent_size, latent, key=key, activation=activation)
    seeded(seeds[0] + n_queries)  # so that the last seed is in range, too
    if queries is not None:
        seeds = list(range(seeds[0], seeds[0] + queries))
    if latent is not None:
        seeds = list(range(seeds[0], seeds[0] + len(find_rows(latent, chosen.latent))))
    set_threads(chosen.generator.to(find_device(device)), chosen.latent.shape, threads, find_inputs(input))
    shop = ModelWorkshop(explore_options(given), model, loaded=chosen)
    paths = {one: shop.layer(one).path for one, _ in asked}  # one that there is not is told before the work
    if len(set(paths.values())) < len(paths):
        raise ConfigError(f"got --layer {layer}, which names one layer twice; name each once")
    for one, _ in asked:
        shop.network.thresholds(shop.layer(one))  # what has no such boundary is told before the work
    own.check(lambda: probes_of(shop.network))
    for text in shop.network.notices:
        show.warning(text)
    source = None
    if image is not None:
        begin, source = starting.begin_at(
            image, shop.network, shop.space, encoder=encoder, force=force, seed=seeds[0], bank=bank, quiet=quiet
        )
        shop.start_at(begin[None])
    has_rows = latent is not None or image is not None
    tables: dict[Path, dict[str, Any]] = {}
    cells = {
        directory: Cell(shop=shop, layer=one, level=grade, seeds=seeds, has_rows=has_rows, source=source, own=own)
        for (one, grade), directory in places.items()
    }
    before = {directory for directory, cell in cells.items() if finished_before(directory, JSON, cell.key, overwrite)}
    parts = hidden_beside(place, "queries")
    with show.telling_what_stays(store or parts), kept_in(store, parts) as kept:
        for directory, cell in cells.items():
            if directory in before:
                found = json_format.loads((directory / JSON).read_text(encoding="utf-8"))
                tables[directory] = {name: found[name] for name in ("rows", "ratios")}
                continue
            with show.progress_bar(quiet) as progress:
                comparison, everything, run, galleries = compared(cell, kept, directory, progress)
            content = files(run, galleries, comparison, everything)
            save_result(content, directory, file=JSON, key=cell.key, overwrite=overwrite)
            tables[directory] = {"rows": comparison.rows, "ratios": comparison.ratios}
    if json:
        alone = next(iter(tables.values()))
        show.as_json(alone if len(tables) == 1 else {folder.name: told for folder, told in tables.items()})
    elif not quiet:
        for directory, told in tables.items():
            show.table(*as_table([*told["rows"], *told["ratios"]]))
            told_before = ", finished before" if directory in before else ""
            show.say(f"{directory / PICTURE}\n{directory / REPORT}{told_before}")


def folder_of(layer: int | str, level: int | None) -> str:
    """The folder of one of several layers and levels."""
    return f"layer-{layer}" if level is None else f"layer-{layer}-level-{level}"


def files(
    run: "Exploration", galleries: "Mapping[str, Gallery]", comparison: "Comparison", content: dict[str, Any]
) -> dict[str, bytes]:
    """What the directory holds: the content as JSON, the rows as CSV, a picture and the report of the first query.

    A query that no seed draws, and inputs that are tensors, lie beside the report, whose command names their files.
    """
    from egbas.report import render
    from egbas.report.baselines import baselines_figure
    from egbas.report.command import command
    from egbas.storage import run_files
    from egbas.storage.destination import INPUTS, SAMPLES
    from egbas.storage.save import json_bytes, text_bytes

    named = " ".join(command(run))
    wanted = [name for name in (SAMPLES, INPUTS) if name in named]
    held = run_files(run) if wanted else {}
    buffer = io.BytesIO()
    baselines_figure(run, comparison).savefig(buffer, format="png")
    return {
        JSON: json_bytes(content),
        CSV: as_csv([*comparison.rows, *comparison.ratios]),
        PICTURE: buffer.getvalue(),
        REPORT: text_bytes(render(run, galleries, comparison)),
        **{name: held[name] for name in wanted if name in held},
    }


def as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows of a summary as CSV; an interval that there is not stays empty."""
    text = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
