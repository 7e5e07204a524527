# SPDX-License-Identifier: MIT
"""``egbas layers`` and ``egbas models``: what there is to explore."""

from typing import Annotated, Any

import typer

from egbas.cli import options, show


def layers(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=options.MODEL_HELP)],
    latent_size: options.LatentSize = None,
    output: options.Output = None,
    input: options.Inputs = None,
    json: options.Json = False,
) -> None:
    """List the non-linearities of a model in forward order: what --layer takes."""
    from dataclasses import asdict

    from egbas.inputs.conditions import find_inputs
    from egbas.inputs.devices import set_threads
    from egbas.inputs.models import find_model
    from egbas.network import Network
    from egbas.network.layers import spelled

    chosen = find_model(model, latent_size)
    inputs = find_inputs(input)
    set_threads(chosen.generator, chosen.latent.shape, None, inputs)
    network = Network(chosen.generator, chosen.latent.shape, output=output, inputs=inputs)
    listed = network.layers
    for text in network.notices:
        show.warning(text)
    if json:
        show.as_json([asdict(layer) for layer in listed])
        return
    paths = [spelled(layer.path) for layer in listed]
    rows = [
        (layer.number, path, layer.kind, " x ".join(map(str, layer.shape)), layer.units)
        for layer, path in zip(listed, paths, strict=True)
    ]
    show.table(("layer", "path", "kind", "shape", "units"), rows)
    show.say(f"The image: {network.told_image}.")
    if any(path.startswith(".") for path in paths):
        show.say("--layer 3 is the third non-linearity, --layer .3 the module of the path 3.")


def models(
    json: options.Json = False,
) -> None:
    """List the embedded models and what they reached."""
    from dataclasses import asdict

    from egbas.zoo.models import cards

    embedded = cards()
    if json:
        show.as_json([asdict(card) for card in embedded])
        return
    show.table(
        ("name", "latent", "what", "reached"),
        [(card.name, _latent(card.latent), card.summary, _reached(card.metrics)) for card in embedded],
    )


def _latent(latent: dict[str, Any]) -> str:
    if not latent:
        return ""
    return f"{' x '.join(map(str, latent['shape']))} {latent['prior']}"


def _reached(metrics: dict[str, Any]) -> str:
    """The single numbers of a card's metrics; histories and shares are in --json."""
    numbers = {name.replace("_", " "): value for name, value in metrics.items() if isinstance(value, int | float)}
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.4g}" for name, value in numbers.items()
    )
