# SPDX-License-Identifier: MIT
"""``egbas estimate``: seconds and memory of an exploration, before it is started."""

from typing import Annotated

import typer

from egbas.cli import options, show


def estimate(  # noqa: PLR0913, PLR0917  each option is an argument
    model: options.Model = options.DEFAULT_MODEL,
    layer: options.Layer = options.DEFAULT_LAYER,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the query.")] = 0,
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
    level: options.Level = None,
    max_steps: options.MaxSteps = None,
    samples: options.Samples = options.DEFAULT_SAMPLES,
    geometry: options.Geometry = options.DEFAULT_GEOMETRY,
    iterations: options.Iterations = None,
    device: options.Device = options.DEFAULT_DEVICE,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Tell how long 'egbas explore' will take and how much memory, from a measured pass of each kind.

    Nothing is explored and nothing written. The ranges are wide where the number of passes depends on the region.
    """
    from dataclasses import asdict

    from egbas.cli import settings, starting
    from egbas.exploration.estimate import estimate as reckon
    from egbas.geometry import choose_geometry
    from egbas.inputs.conditions import find_inputs
    from egbas.inputs.devices import find_device, set_threads
    from egbas.inputs.models import find_model
    from egbas.inputs.queries import find_query
    from egbas.network import Network
    from egbas.network.boundary import Boundary

    starting.check_start(latent=latent, image=image, encoder=encoder, force=force, bank=bank)
    chosen = find_model(model, latent_size, latent, key=key, activation=activation)
    z0 = find_query(latent if latent is not None else str(seed), chosen.latent)
    beropt, gbrrt = settings.configs(level=level, max_steps=max_steps, iterations=iterations)
    inputs = find_inputs(input)
    where = find_device(device)
    generator = chosen.generator.to(where)
    set_threads(generator, chosen.latent.shape, threads, inputs)
    told = Boundary.of(boundary, chosen.latent)
    network = Network(generator, chosen.latent.shape, output=output, inputs=inputs, boundary=told)
    target = network.resolve(settings.layer_key(layer))
    space = choose_geometry(chosen.latent, network, geometry)
    if image is not None:
        z0, _ = starting.begin_at(image, network, space, encoder=encoder, force=force, seed=seed, bank=bank, quiet=json)
    result = reckon(
        generator,
        z0.to(where),
        target.key,
        latent=space,
        geometry=space.geometry,
        beropt=beropt,
        gbrrt=gbrrt,
        samples=samples,
        output=output,
        boundary=boundary,
        inputs=inputs,
    )
    for text in network.notices:
        show.warning(text)
    if json:
        show.as_json({**asdict(result), "low": result.low, "high": result.high})
        return
    lines = [[stage.name, span(stage.low, stage.high), stage.basis] for stage in result.stages]
    show.table(["stage", "expected", "from"], lines)
    show.say(f"{span(result.low, result.high)} and {result.peak_bytes / 1e9:.1f} GB of memory at the peak")


def span(low: float, high: float) -> str:
    """Seconds from and to, such as ``2.1 to 4 s``, in minutes where they are many."""
    unit, factor = ("min", 60) if low >= 120 else ("s", 1)
    ends = [f"{value / factor:.2g}" if value / factor < 10 else f"{value / factor:,.0f}" for value in (low, high)]
    return f"{ends[0]} {unit}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]} {unit}"
