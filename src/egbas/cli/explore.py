# SPDX-License-Identifier: MIT
"""``egbas explore``: the main job, from a query to a run directory."""

import re
from pathlib import Path
from typing import Annotated

import typer

from egbas.cli import show

MODEL_HELP = (
    "A model of the zoo (see 'egbas models'), a checkpoint file, or your own network as package.module:callable."
)
LATENT_SIZE_HELP = "Shape of your own network's latent, such as 64 or 512x1x1; a zoo model knows its own."
MAX_STEPS_HELP = "Bound on BerOpt's gradient steps. A hundred give a first look at a large network, with a warning."

HALF_WIDTH_HELP = "Targets come from the box query +- I, on a sphere from the cap of that radius; latent units."
GEOMETRY_HELP = "Of the latents; auto: a sphere where the network ignores the length of its latent, else flat."


def explore(  # noqa: PLR0913, PLR0917  each option is an argument
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help=MODEL_HELP)] = "dcgan-mnist-2d",
    layer: Annotated[
        str,
        typer.Option(metavar="L", help="Number of a non-linearity or a dotted module path; see 'egbas layers'."),
    ] = "1",
    seed: Annotated[int, typer.Option(metavar="S", help="Of the query and of the exploration.")] = 0,
    latent: Annotated[
        str | None,
        typer.Option(
            metavar="SEED|FILE",
            help="The query, if not the one of --seed: another seed, or a .safetensors, .npy or .npz file.",
        ),
    ] = None,
    latent_size: Annotated[str | None, typer.Option(metavar="SHAPE", help=LATENT_SIZE_HELP)] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run directory to write.", show_default="runs/MODEL-lL-sS"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="P", help="Keep units with theta above P, 0 to 1.", show_default="0.5"),
    ] = None,
    sparsity: Annotated[
        float | None,
        typer.Option(metavar="WEIGHT", help="Higher keeps fewer units, and a rougher image.", show_default="1"),
    ] = None,
    max_steps: Annotated[int | None, typer.Option(metavar="N", help=MAX_STEPS_HELP, show_default="1500")] = None,
    geometry: Annotated[str, typer.Option(metavar="flat|sphere|auto", help=GEOMETRY_HELP)] = "auto",
    half_width: Annotated[
        float | None,
        typer.Option(
            metavar="I",
            help="Targets come from the box query +- I (a cap on a sphere), latent units.",
            show_default="automatic",
        ),
    ] = None,
    step_size: Annotated[
        float | None,
        typer.Option(metavar="DELTA", help="Length of every edge of the tree, latent units.", show_default="automatic"),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(metavar="N", help="Candidates that GB-RRT tries.", show_default="2000")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the network runs, such as cpu or cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processor threads of torch.", show_default="1 or all")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the metrics, and nothing else, on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no summary; warnings stay.")] = False,
) -> None:
    """Find what a layer holds fixed around a query, sample what it leaves free, and write files and pictures.

    Look at report.html in --out; the numbers and tensors lie beside it. All files appear, or none.
    """
    from dataclasses import replace

    from egbas.cli import settings
    from egbas.exploration.explore import explore as run_exploration
    from egbas.geometry import choose_geometry
    from egbas.inputs.devices import find_device, set_threads
    from egbas.inputs.models import find_model
    from egbas.inputs.queries import find_query, seeded, warnings_of
    from egbas.network import Network
    from egbas.storage import check_destination, save_run

    place = check_destination(out or default_out(model, layer, latent or str(seed)), overwrite)
    found = find_model(model, latent_size, latent)
    seeded(seed)
    z0 = find_query(latent if latent is not None else str(seed), found.latent)
    beropt, gbrrt = settings.configs(
        threshold=threshold,
        sparsity=sparsity,
        max_steps=max_steps,
        half_width=half_width,
        step_size=step_size,
        iterations=iterations,
    )
    where = find_device(device)
    generator = found.generator.to(where)
    network = Network(generator, found.latent.shape)
    target = network.resolve(settings.layer_key(layer))
    set_threads(network, threads)
    space = choose_geometry(found.latent, network, geometry)
    with show.progress_bar(quiet) as progress:
        run = run_exploration(
            generator,
            z0.to(where),
            layer=target.number or target.path,
            rng=seed,
            latent=space,
            geometry=space.geometry,
            model_name=found.name,
            beropt=beropt,
            gbrrt=gbrrt,
            progress=progress,
        )
        settings.refuse_empty(run)
        run = replace(run, warnings=(*warnings_of(z0, space), *run.warnings))
        progress("writing", 0, 1, str(place))
        save_run(
            run, place, overwrite=overwrite, progress=lambda done, total: progress("writing", done, total, str(place))
        )
    for text in run.warnings:
        show.warning(text)
    if json:
        show.as_json(run.metrics())
    elif not quiet:
        for line in settings.summary(run, place):
            typer.echo(line)


def default_out(model: str, layer: str, query: str) -> Path:
    """Name the run directory of a run that was given none."""
    words = (re.sub(r"[^\w.-]+", "-", word).strip("-.") for word in (Path(model).name, layer, Path(query).stem))
    return Path("runs") / "{}-l{}-s{}".format(*words)
