# SPDX-License-Identifier: MIT
"""``egbas sanity``: four questions to the answer for one query and layer, on one page and in one file."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from egbas.cli import options, show
from egbas.cli.explore import default_out

TABLE, PAGE = "sanity.json", "sanity.html"
DEFAULT_SETS, DEFAULT_EVALUATIONS = 3, 100_000  # a test keeps them those of egbas.evaluation.sanity


def sanity(  # noqa: PLR0913, PLR0917  each option is an argument
    model: options.Model = options.DEFAULT_MODEL,
    layer: options.Layer = options.DEFAULT_LAYER,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the query, the samples, the random weights and sets.")] = 0,
    level: options.Level = None,
    latent: options.Latent = None,
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
        Path | None, typer.Option(metavar="DIR", help="Directory to write.", show_default="runs/sanity-MODEL-lL-sS")
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", min=1, max=options.MOST_SAMPLES, help="Effective draws wanted in each region.")
    ] = options.DEFAULT_SAMPLES,
    max_evaluations: Annotated[
        int,
        typer.Option(
            metavar="E", min=1, max=options.MOST_EVALUATIONS, help="Latents that each region is asked about at most."
        ),
    ] = DEFAULT_EVALUATIONS,
    sets: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="Random sets of as many units as BerOpt keeps.")
    ] = DEFAULT_SETS,
    max_steps: options.MaxSteps = None,
    geometry: options.Geometry = options.DEFAULT_GEOMETRY,
    device: options.Device = options.DEFAULT_DEVICE,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Ask whether random weights, random sets, other boundaries or another sampler give the same answer.

    Writes sanity.html to look at, and sanity.json with all numbers and a verdict for each question.
    """
    from egbas.cli import settings, starting
    from egbas.evaluation.sanity import check_sanity
    from egbas.geometry import choose_geometry
    from egbas.inputs.conditions import find_inputs
    from egbas.inputs.devices import find_device, set_threads
    from egbas.inputs.models import find_model
    from egbas.inputs.queries import find_query, seeded, warnings_of
    from egbas.network import Network
    from egbas.network.boundary import Boundary
    from egbas.report.sanity_page import render_sanity
    from egbas.storage import check_destination, save_files
    from egbas.storage.destination import DONE
    from egbas.storage.save import json_bytes, text_bytes

    starting.check_start(latent=latent, image=image, encoder=encoder, force=force, bank=bank)
    named = default_out(model, layer, latent or image or str(seed))
    place = out or named.with_name(f"sanity-{named.name}")
    directory = check_destination(place, overwrite, (TABLE, PAGE, DONE))
    chosen = find_model(model, latent_size, latent, key=key, activation=activation)
    seeded(seed)
    z0 = find_query(latent if latent is not None else str(seed), chosen.latent)
    beropt, _ = settings.configs(level=level, max_steps=max_steps)
    inputs = find_inputs(input)
    where = find_device(device)
    generator = chosen.generator.to(where)
    set_threads(generator, chosen.latent.shape, threads, inputs)
    told = Boundary.of(boundary, chosen.latent)
    network = Network(generator, chosen.latent.shape, output=output, inputs=inputs, boundary=told)
    target = network.resolve(settings.layer_key(layer))
    space = choose_geometry(chosen.latent, network, geometry)
    source = None
    if image is not None:
        z0, source = starting.begin_at(
            image, network, space, encoder=encoder, force=force, seed=seed, bank=bank, quiet=quiet
        )
    with show.progress_bar(quiet) as progress:
        found = check_sanity(
            generator,
            z0.to(where),
            target.key,
            rng=seed,
            samples=samples,
            max_evaluations=max_evaluations,
            n_sets=sets,
            judges=settings.class_judges(chosen, z0),
            latent=space,
            geometry=space.geometry,
            output=output,
            inputs=inputs,
            boundary=boundary,
            beropt=beropt,
            model_name=chosen.name,
            progress=progress,
        )
    asked = {
        "--model": chosen.name,
        "--layer": target.key,
        "--seed": seed,
        "--level": found.run.level,
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
        "--samples": samples,
        "--max-evaluations": max_evaluations,
        "--sets": sets,
        "--max-steps": max_steps,
        "--geometry": space.geometry,
        "--device": None if device == options.DEFAULT_DEVICE else device,
        "--threads": threads,
    }
    content = {**found.rows(), "output": output, "inputs": network.conditions.record(), "boundary": str(told)}
    content["source"] = None if source is None else source.record()
    save_files(
        {
            TABLE: json_bytes(content),
            PAGE: text_bytes(render_sanity(found, _command(asked))),
        },
        directory,
        overwrite=overwrite,
    )
    for text in (*warnings_of(z0, space), *found.run.warnings):
        show.warning(text)
    if json:
        show.as_json(content)
    elif not quiet:
        for name, verdict in found.verdicts.items():
            show.say(f"{name.replace('_', ' ')}: {verdict}")
        show.say(f"page: {directory / PAGE}")


def _command(asked: Mapping[str, object]) -> str:
    """The command line that asks again."""
    return shlex.join(["egbas", "sanity", *options.words_of(asked)])
