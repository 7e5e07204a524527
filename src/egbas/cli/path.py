# SPDX-License-Identifier: MIT
"""``egbas path``: layers by levels of one query, on one page and in one table."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from egbas.cli import options, show
from egbas.cli.explore import default_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from egbas.exploration.path import LevelPath
    from egbas.network import Layer

TABLE, PAGE, PICTURE, TENSORS = "path.json", "path.html", "path.png", "path.safetensors"


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
    latent_size: options.LatentSize = None,
    key: options.Key = None,
    activation: options.Activation = None,
    output: options.Output = None,
    input: options.Inputs = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Directory to write.", show_default="runs/path-MODEL-sS")
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", min=1, max=options.MOST_SAMPLES, help="Effective draws wanted in each region.")
    ] = options.DEFAULT_SAMPLES,
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
    the samples. Several queries have a directory each in --out; those that are finished are not explored again.
    """
    from egbas.cli import ranges, settings, starting
    from egbas.exploration.path import explore_path
    from egbas.geometry import choose_geometry
    from egbas.inputs.conditions import find_inputs
    from egbas.inputs.devices import find_device, set_threads
    from egbas.inputs.focus import find_focus
    from egbas.inputs.models import find_callable, find_model
    from egbas.inputs.queries import find_query, find_rows, seeded
    from egbas.network import Network
    from egbas.report.path_page import HEADINGS, table_of
    from egbas.samplers.gbrrt import GbRrtConfig
    from egbas.storage import check_destination, key_of
    from egbas.storage.destination import DONE, finished_before
    from egbas.sweep.identity import decides_of
    from egbas.zoo.models import load_classifier

    starting.check_start(latent=latent, image=image, encoder=encoder, force=force)
    seeds = ranges.numbers(seed, "--seed")
    named = default_out(model, "", latent or image or seed)
    place = out or named.with_name(f"path-{named.name.replace('-l-s', '-s')}")
    files = (TABLE, PAGE, PICTURE, TENSORS, DONE)
    if len(seeds) == 1 and latent is None:
        check_destination(place, overwrite, files)
    levels = ranges.levels(level)
    chosen = find_model(model, latent_size, latent, key=key, activation=activation)
    for one in seeds:
        seeded(one)
    rows = None if latent is None else find_rows(latent, chosen.latent)
    queries = [(row, one) for row in ([None] if rows is None else range(len(rows))) for one in seeds]
    places = {
        query: place if len(queries) == 1 else place / folder_of(*query, has_seeds=len(seeds) > 1) for query in queries
    }
    for inner in places.values():  # a finished one of several is looked at again when it is known what is asked for
        check_destination(inner, overwrite or len(queries) > 1, files)
    judges = [find_callable(name, "--judge") for name in judge or ()]
    known = None if features is None else find_callable(features, "--features")
    part = None if focus is None else find_focus(focus)
    beropt, _ = settings.configs(masks=masks, max_steps=max_steps)
    where, inputs = find_device(device), find_inputs(input)
    generator = chosen.generator.to(where)
    set_threads(generator, chosen.latent.shape, threads, inputs)
    network = Network(generator, chosen.latent.shape, output=output, inputs=inputs)
    layers = [network.resolve(one) for one in ranges.layers(layer, network.layers, network.image_size)]
    space = choose_geometry(chosen.latent, network, geometry)
    for text in (*network.notices, *filter(None, map(network.bypass_of, layers))):
        show.warning(text)
    begin, source = None, None
    if image is not None:
        begin, source = starting.begin_at(
            image, network, space, encoder=encoder, force=force, seed=seeds[0], quiet=quiet
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
        | {"inputs": network.conditions.record()},
        focus=part,
        judges=list(zip(judge or (), judges, strict=True)),
        features=known,
        classifier=load_classifier(settings.CLASSIFIER) if has_classes else None,
    )
    keys = {
        (row, one): key_of(
            {
                "path": decides,
                "layers": [each.path for each in layers],
                "levels": levels,
                "seed": one,
                "query": None if (start := start_of(row)) is None else start.double().tolist(),
            }
        )
        for row, one in queries
    }
    finished = [query for query in queries if finished_before(places[query], TABLE, keys[query], overwrite)]
    told: dict[str, Any] = {}
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
                generator,
                z0.to(where),
                [each.key for each in layers],
                levels,
                rng=one,
                samples=samples,
                max_evaluations=max_evaluations,
                focus=part,
                output=output,
                inputs=inputs,
                judges=[*judges, *settings.class_judges(chosen, z0)],
                features=known,
                mass=mass,
                latent=space,
                geometry=space.geometry,
                beropt=beropt,
                model_name=chosen.name,
                progress=progress,
            )
        again = {
            "--latent": latent,
            "--image": image,
            "--encoder": encoder,
            "--force": force or None,
            "--latent-size": latent_size,
            "--key": key,
            "--activation": activation,
            "--output": output,
            "--input": input,
            "--max-evaluations": max_evaluations,
            "--mass": mass or None,
            "--focus": focus,
            "--features": features,
            "--masks": masks,
            "--max-steps": max_steps,
            "--geometry": space.geometry,
            "--device": None if device == options.DEFAULT_DEVICE else device,
            "--threads": threads,
        }
        words = _command(chosen.name, layers, level, one, samples, again, judge or ())
        facts = {
            "key": keys[row, one],
            "model": chosen.name,
            "output": output,
            "inputs": network.conditions.record(),
            "source": None if source is None else source.record(),
        }
        content = _write(found, facts, words, directory, overwrite=overwrite)
        told[directory.name] = content
        if not json and not quiet:
            show.table(HEADINGS[:-1], [line[:-1] for line in table_of(found)])
            show.say(f"page     {directory / PAGE}")
    if json:
        show.as_json(next(iter(told.values())) if len(queries) == 1 else _read_missing(told, place))


def folder_of(row: int | None, seed: int, *, has_seeds: bool) -> str:
    """The folder of one of several queries."""
    if row is None:
        return f"seed-{seed}"
    return f"row-{row}-seed-{seed}" if has_seeds else f"row-{row}"


def _read_missing(told: "Mapping[str, Any]", place: Path) -> dict[str, Any]:
    """What all queries gave; of those that were finished before as it was written then."""
    import json

    return {
        name: json.loads((place / name / TABLE).read_text(encoding="utf-8")) if content is None else content
        for name, content in told.items()
    }


def _write(
    found: "LevelPath", facts: "Mapping[str, Any]", words: str, directory: Path, *, overwrite: bool
) -> dict[str, Any]:
    """Write the directory of a path, warn of what did not converge, and give the content of its table."""
    import io
    import json

    from safetensors.torch import save

    from egbas.report.path_page import figure_of, render_path, tensors_of
    from egbas.storage import save_files

    content = {
        **facts,
        "seed": found.seed,
        "query": found.query.tolist(),
        "rows": found.rows(),
    }
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors_of(found).items()}
    picture = io.BytesIO()
    figure_of(found).savefig(picture, format="png")
    save_files(
        {
            TABLE: (json.dumps(content, indent=2, allow_nan=False) + "\n").encode(),
            PAGE: render_path(found, words).encode(),
            PICTURE: picture.getvalue(),
            TENSORS: save(tensors),
        },
        directory,
        overwrite=overwrite,
    )
    for row in content["rows"]:
        if row["status"] == "NOT_CONVERGED":
            show.warning(
                f"layer {row['layer']}, level {row['level']}: not converged after {row['evaluations']:,} evaluations; "
                "raise --max-evaluations"
            )
    return content


def _command(  # noqa: PLR0913, PLR0917
    model: str,
    layers: "Sequence[Layer]",
    level: str,
    seed: int,
    samples: int,
    others: "Mapping[str, object]",
    judges: "Sequence[str]",
) -> str:
    """The command line that makes the path again."""
    taken = ",".join(str(one.key) for one in layers)
    words = ["egbas", "path", "--model", model, "--layer", taken, "--level", level]
    words += ["--seed", str(seed), "--samples", str(samples)]
    for option, value in others.items():
        for each in value if isinstance(value, list) else [value]:
            words += [] if each is None else [option] if each is True else [option, str(each)]
    for judge in judges:
        words += ["--judge", judge]
    return shlex.join(words)
