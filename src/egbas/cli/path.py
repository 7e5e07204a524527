# SPDX-License-Identifier: MIT
"""``egbas path``: layers by levels of one query, on one page and in one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from egbas.cli import options, show
from egbas.cli.explore import default_out

if TYPE_CHECKING:
    from torch import Tensor


def path(  # noqa: C901, PLR0913, PLR0915, PLR0917  each option is an argument
    model: options.Model = options.DEFAULT_MODEL,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Layers: numbers, ranges or paths, such as 1-4 or relu1,relu3.",
            show_default="four of the hidden ones",
        ),
    ] = None,
    level: Annotated[
        str, typer.Option(metavar="LIST", help="Levels, 1 (coarse) to 8 (fine): a list or a range, such as 1-8.")
    ] = "1,3,5,7",
    seed: options.Seeds = "0",
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
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Directory to write.", show_default="runs/path-MODEL-sS")
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", min=1, max=options.MOST_SAMPLES, help="Effective draws wanted in each region.")
    ] = options.DEFAULT_SAMPLES,
    store: options.Store = None,
    max_evaluations: Annotated[
        int | None,
        typer.Option(
            metavar="E",
            min=1,
            help="Latents that the exact sampler asks each region about at most.",
            show_default="half of what explore may",
        ),
    ] = None,
    mass: options.MassOption = False,
    focus: options.Focus = None,
    judge: options.Judges = None,
    features: options.Features = None,
    units: options.Units = None,
    masks: options.Masks = None,
    max_steps: options.MaxSteps = None,
    geometry: options.Geometry = options.DEFAULT_GEOMETRY,
    device: options.Device = options.DEFAULT_DEVICE,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Explore one query at many layers and levels: from coarse to fine, from shallow to deep.

    Writes path.html and path.png to look at, path.json with a row for each layer and level, and path.safetensors with
    the samples. Several queries have a directory each in --out. What is finished when it is stopped is found again.
    """
    from egbas.cli import ranges, settings, starting
    from egbas.cli.path_files import PAGE, PICTURE, TABLE, TENSORS, command, folder_of, read_missing, write
    from egbas.exploration.path import explore_path
    from egbas.geometry import choose_geometry
    from egbas.inputs.conditions import find_inputs
    from egbas.inputs.devices import find_device, set_threads
    from egbas.inputs.focus import find_focus
    from egbas.inputs.models import find_callable, find_model
    from egbas.inputs.queries import find_query, find_rows, seeded
    from egbas.network import Network
    from egbas.network.boundary import Boundary
    from egbas.region.precisions import keep_splits
    from egbas.report.path_page import HEADINGS, table_of
    from egbas.samplers.gbrrt import GbRrtConfig
    from egbas.storage import check_destination, key_of
    from egbas.storage.destination import DONE, check_several, finished_before
    from egbas.storage.points import PointStore
    from egbas.storage.store import hidden_beside, kept_in
    from egbas.sweep.identity import decides_of
    from egbas.zoo.models import load_classifier

    starting.check_start(latent=latent, image=image, encoder=encoder, force=force, bank=bank)
    seeds = ranges.numbers(seed, "--seed")
    named = default_out(model, "", latent or image or seed)
    place = out or named.with_name(f"path-{named.name.replace('-l-s', '-s')}")
    files = (TABLE, PAGE, PICTURE, TENSORS, DONE)
    if len(seeds) == 1 and latent is None:  # whether a finished one is the one asked for, is looked at below
        check_destination(place, True, files)
    levels = ranges.levels(level)
    chosen = find_model(model, latent_size, latent, key=key, activation=activation)
    for one in seeds:
        seeded(one)
    rows = None if latent is None else find_rows(latent, chosen.latent)
    queries = [(row, one) for row in ([None] if rows is None else range(len(rows))) for one in seeds]
    places = {
        query: place if len(queries) == 1 else place / folder_of(*query, has_seeds=len(seeds) > 1) for query in queries
    }
    if len(queries) > 1:
        check_several(place, files)
    for inner in places.values():
        check_destination(inner, True, files)
    judges = [find_callable(name, "--judge") for name in judge or ()]
    known = None if features is None else find_callable(features, "--features")
    part = None if focus is None else find_focus(focus)
    beropt, _ = settings.configs(units=units, masks=masks, max_steps=max_steps)
    where, inputs = find_device(device), find_inputs(input)
    generator = chosen.generator.to(where)
    set_threads(generator, chosen.latent.shape, threads, inputs)
    told_boundary = Boundary.of(boundary, chosen.latent)
    network = Network(generator, chosen.latent.shape, output=output, inputs=inputs, boundary=told_boundary)
    layers = [network.resolve(one) for one in ranges.layers(layer, network.layers, network.image_size)]
    space = choose_geometry(chosen.latent, network, geometry)
    for text in (*network.notices, *filter(None, map(network.bypass_of, layers))):
        show.warning(text)
    begin, source = None, None
    if image is not None:
        begin, source = starting.begin_at(
            image, network, space, encoder=encoder, force=force, seed=seeds[0], bank=bank, quiet=quiet
        )

    def start_of(row: int | None) -> "Tensor | None":
        """The query that was given, by a picture or a row of a file; None where a seed draws it."""
        return begin if rows is None or row is None else rows[row]

    has_classes = chosen.card is not None
    decides = decides_of(
        network,
        space,
        beropt,
        GbRrtConfig(),
        options={"samples": samples, "max_evaluations": max_evaluations, "mass": mass, "output": output}
        | {"inputs": network.conditions.record()}
        | told_boundary.record(),
        focus=part,
        judges=list(zip(judge or (), judges, strict=True)),
        features=known,
        classifier=load_classifier(settings.CLASSIFIER) if has_classes else None,
    )
    of_query = {
        (row, one): {
            "path": decides,
            "seed": one,
            "query": None if (start := start_of(row)) is None else start.double().tolist(),
        }
        for row, one in queries
    }
    asked = {"layers": [each.path for each in layers], "levels": levels}
    keys = {query: key_of({**determined, **asked}) for query, determined in of_query.items()}
    finished = [query for query in queries if finished_before(places[query], TABLE, keys[query], overwrite)]
    if len(finished) < len(queries):
        keep_splits(network, list({each.path: each for each in layers}.values()))
    told: dict[str, Any] = {}
    cells = hidden_beside(place, "cells")
    with show.telling_what_stays(store or cells), kept_in(store, cells) as kept:
        for row, one in queries:
            directory = places[row, one].expanduser().resolve()
            if (row, one) in finished:
                told[directory.name] = None
                if not quiet and not json:
                    show.say(f"page     {directory / PAGE}, finished before")
                continue
            z0 = start_of(row)
            z0 = find_query(str(one), chosen.latent) if z0 is None else z0
            with show.progress_bar(quiet) as progress:
                found = explore_path(
                    network,
                    z0.to(where),
                    [each.key for each in layers],
                    levels,
                    rng=one,
                    samples=samples,
                    max_evaluations=max_evaluations,
                    focus=part,
                    output=output,
                    judges=[*judges, *settings.class_judges(chosen, z0)],
                    features=known,
                    mass=mass or None,
                    latent=space,
                    geometry=space.geometry,
                    beropt=beropt,
                    model_name=chosen.name,
                    keeper=PointStore(kept, of_query[row, one], network, space),
                    progress=progress,
                )
            again = {
                "--latent": latent,
                "--image": image,
                "--encoder": encoder,
                "--force": force or None,
                "--bank": bank,
                "--latent-size": latent_size,
                "--key": key,
                "--activation": activation,
                "--output": output,
                "--input": input,
                "--boundary": boundary,
                "--max-evaluations": max_evaluations,
                "--mass": mass or None,
                "--focus": focus,
                "--features": features,
                "--units": units,
                "--masks": masks,
                "--max-steps": max_steps,
                "--geometry": space.geometry,
                "--device": None if device == options.DEFAULT_DEVICE else device,
                "--threads": threads,
            }
            words = command(chosen.name, layers, level, one, samples, again, judge or ())
            facts = {
                "key": keys[row, one],
                "model": chosen.name,
                "output": output,
                "inputs": network.conditions.record(),
                "boundary": str(network.boundary),
                "source": None if source is None else source.record(),
            }
            told[directory.name] = write(found, facts, words, directory, overwrite=overwrite)
            if not json and not quiet:
                show.table(HEADINGS[:-1], [line[:-1] for line in table_of(found)])
                show.say(f"page     {directory / PAGE}")
    if json:
        contents = read_missing(told, places.values())
        show.as_json(next(iter(contents.values())) if len(queries) == 1 else contents)
