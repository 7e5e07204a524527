# SPDX-License-Identifier: MIT
"""``egbas neighbours``: what a layer takes for nearly the same as the query, among many latents."""

from pathlib import Path
from typing import Annotated

import typer

from egbas.cli import options, show
from egbas.cli.explore import default_out

TABLE, PICTURE, TENSORS = "neighbours.json", "neighbours.png", "neighbours.safetensors"


def neighbours(  # noqa: PLR0913, PLR0915, PLR0917  each option is an argument
    model: options.Model = options.DEFAULT_MODEL,
    layer: options.Layer = options.DEFAULT_LAYER,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the query, of BerOpt and of the bank.")] = 0,
    latent: options.Latent = None,
    image: options.ImageFile = None,
    encoder: options.Encoder = None,
    force: options.Force = False,
    latent_size: options.LatentSize = None,
    key: options.Key = None,
    activation: options.Activation = None,
    output: options.Output = None,
    input: options.Inputs = None,
    boundary: options.Boundary = None,
    bank: Annotated[
        str, typer.Option(metavar="N|FILE", help="Latents to look among: so many draws of the prior, or a file.")
    ] = "10000",
    count: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many neighbours to show.")] = 15,
    level: options.Level = None,
    focus: options.Focus = None,
    sparsity: options.Sparsity = None,
    max_steps: options.MaxSteps = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Directory to write.", show_default="runs/neighbours-MODEL-lL-sS")
    ] = None,
    device: options.Device = options.DEFAULT_DEVICE,
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show the latents of a bank that share most of the kept boundaries with the query.

    Writes neighbours.png to look at, neighbours.json and neighbours.safetensors.
    """
    import io

    import torch
    from safetensors.torch import save

    from egbas.cli import settings, starting
    from egbas.evaluation.neighbours import neighbours_of
    from egbas.exploration.clock import Clock
    from egbas.exploration.problem import Problem
    from egbas.exploration.supports import supports_of
    from egbas.figures import samples_sheet
    from egbas.figures.look import Look
    from egbas.geometry import choose_geometry
    from egbas.inputs.conditions import find_inputs
    from egbas.inputs.devices import find_device, set_threads
    from egbas.inputs.focus import find_focus
    from egbas.inputs.models import find_model
    from egbas.inputs.queries import find_bank, find_query, seeded
    from egbas.network import Network
    from egbas.region import SupportingRegion
    from egbas.samplers.choice import rng_of
    from egbas.storage import check_destination, save_files
    from egbas.storage.destination import DONE
    from egbas.storage.save import json_bytes

    starting.check_start(latent=latent, image=image, encoder=encoder, force=force)
    named = default_out(model, layer, latent or image or str(seed))
    directory = check_destination(
        out or named.with_name(f"neighbours-{named.name}"), overwrite, (TABLE, PICTURE, TENSORS, DONE)
    )
    chosen = find_model(model, latent_size, latent, key=key, activation=activation)
    seeded(seed)
    z0 = find_query(latent if latent is not None else str(seed), chosen.latent)
    latents = find_bank(bank, chosen.latent, rng_of("bank", seed))
    beropt, _ = settings.configs(level=level, sparsity=sparsity, max_steps=max_steps)
    where, inputs = find_device(device), find_inputs(input)
    generator = chosen.generator.to(where)
    set_threads(generator, chosen.latent.shape, threads, inputs)
    source = None
    if image is not None:
        network = Network(generator, chosen.latent.shape, output=output, inputs=inputs)
        space = choose_geometry(chosen.latent, network)
        z0, source = starting.begin_at(image, network, space, encoder=encoder, force=force, seed=seed, quiet=quiet)
    problem = Problem.of(
        generator,
        [z0.to(where)],
        [seed],
        settings.layer_key(layer),
        latent=chosen.latent,
        geometry="auto",
        model_name=chosen.name,
        focus=None if focus is None else find_focus(focus),
        output=output,
        inputs=inputs,
        boundary=boundary,
    )
    for text in problem.network.notices:
        show.warning(text)
    with show.progress_bar(quiet) as progress:
        (found,) = supports_of(problem, beropt, problem.latent.largest_half_width, Clock(progress, 1))
        assert isinstance(found.region, SupportingRegion)
        near = neighbours_of(
            found.region, latents, count, progress=lambda done, total: progress("bank", done, total, "latents asked")
        )
    assert found.beropt is not None
    images = torch.cat(list(problem.network.image_batches(torch.cat([problem.queries[0][None], near.latents]))))
    look, picture = Look.of(images, problem.network.image_range), io.BytesIO()
    samples_sheet(look.pictures(images), limits=look.limits).save(picture, format="png")
    content = {
        "model": chosen.name,
        "output": output,
        "inputs": problem.network.conditions.record(),
        "boundary": str(problem.network.boundary),
        "source": None if source is None else source.record(),
        "layer": layer,
        "level": found.beropt.config.level,
        "units": len(found.beropt.units),
        "bank": near.bank,
        "mean_shared": near.mean,
        "inside": near.inside,
        "rows": [
            {"index": int(index), "shared": float(share)} for index, share in zip(near.index, near.shared, strict=True)
        ],
    }
    tensors = {"query": problem.queries[0], "latents": near.latents, "shared": near.shared, "index": near.index}
    save_files(
        {
            TABLE: json_bytes(content),
            PICTURE: picture.getvalue(),
            TENSORS: save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}),
        },
        directory,
        overwrite=overwrite,
    )
    if json:
        show.as_json(content)
    elif not quiet:
        first, last = float(near.shared[0]), float(near.shared[-1])
        show.say(
            f"{len(near.shared)} of {near.bank:,} latents share {first:.1%} to {last:.1%} of {len(found.beropt.units)} "
            f"kept boundaries; {near.mean:.1%} is the mean, {near.inside} lie in the region"
        )
        show.say(f"picture  {directory / PICTURE}")
