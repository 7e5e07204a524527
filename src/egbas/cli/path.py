# SPDX-License-Identifier: MIT
"""``egbas path``: layers by levels of one query, on one page and in one table."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from egbas.cli import options, show
from egbas.cli.explore import default_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from egbas.network import Layer

TABLE, PAGE, PICTURE, TENSORS = "path.json", "path.html", "path.png", "path.safetensors"


def path(  # noqa: PLR0913, PLR0915, PLR0917  each option is an argument
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
    seed: Annotated[int, typer.Option(metavar="S", help="Of the query and of the samples.")] = 0,
    latent: options.Latent = None,
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
    the samples.
    """
    import io
    import json as json_format

    from safetensors.torch import save

    from egbas.cli import ranges, settings, starting
    from egbas.exploration.path import explore_path
    from egbas.geometry import choose_geometry
    from egbas.inputs.conditions import find_inputs
    from egbas.inputs.devices import find_device, set_threads
    from egbas.inputs.focus import find_focus
    from egbas.inputs.models import find_callable, find_model
    from egbas.inputs.queries import find_query, seeded
    from egbas.network import Network
    from egbas.report.path_page import HEADINGS, figure_of, render_path, table_of, tensors_of
    from egbas.storage import check_destination, save_files
    from egbas.storage.destination import DONE

    starting.check_start(latent=latent, image=image, encoder=encoder, force=force)
    named = default_out(model, "", latent or image or str(seed))
    place = out or named.with_name(f"path-{named.name.replace('-l-s', '-s')}")
    directory = check_destination(place, overwrite, (TABLE, PAGE, PICTURE, TENSORS, DONE))
    levels = ranges.numbers(level, "--level")
    chosen = find_model(model, latent_size, latent, key=key, activation=activation)
    seeded(seed)
    z0 = find_query(latent if latent is not None else str(seed), chosen.latent)
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
    source = None
    with show.progress_bar(quiet) as progress:
        if image is not None:
            z0, source, said = starting.query_of_image(
                image, network, space, encoder=encoder, force=force, seed=seed, progress=progress
            )
            for text in said:
                show.warning(text)
        found = explore_path(
            generator,
            z0.to(where),
            [one.key for one in layers],
            levels,
            rng=seed,
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
    words = _command(chosen.name, layers, level, seed, samples, again, judge or ())
    content = {
        "model": chosen.name,
        "output": output,
        "inputs": network.conditions.record(),
        "seed": seed,
        "query": found.query.tolist(),
        "source": None if source is None else source.record(),
        "rows": found.rows(),
    }
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors_of(found).items()}
    picture = io.BytesIO()
    figure_of(found).savefig(picture, format="png")
    save_files(
        {
            TABLE: (json_format.dumps(content, indent=2, allow_nan=False) + "\n").encode(),
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
    if json:
        show.as_json(content)
    elif not quiet:
        show.table(HEADINGS[:-1], [line[:-1] for line in table_of(found)])
        show.say(f"page     {directory / PAGE}")


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
