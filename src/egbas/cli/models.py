# SPDX-License-Identifier: MIT
"""``egbas layers`` and ``egbas models``: what there is to explore."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from egbas.cli import options, show

if TYPE_CHECKING:
    from egbas.network import Layer, Network

_SHOWN = 20  # modules
_DRAWS = 3  # of the prior: the images that tell what flows past a layer


def layers(  # noqa: PLR0913, PLR0915, PLR0917  each option is an argument
    model: Annotated[str, typer.Argument(metavar="MODEL", help=options.MODEL_HELP)],
    classifier: options.Classifier = None,
    latent_size: options.LatentSize = None,
    key: options.Key = None,
    activation: options.Activation = None,
    output: options.Output = None,
    input: options.Inputs = None,
    boundary: options.Boundary = None,
    json: options.Json = False,
) -> None:
    """List the non-linearities of a model in forward order, what --layer takes, and how much of an image flows past."""
    from dataclasses import asdict

    import torch

    from egbas.cli import settings
    from egbas.inputs.classifiers import find_classified
    from egbas.inputs.conditions import find_inputs
    from egbas.inputs.devices import set_threads
    from egbas.network import Layer, Network
    from egbas.network.boundary import Boundary, told_of
    from egbas.network.bypass import NONE_PAST
    from egbas.network.classified import LOGITS, Classified
    from egbas.network.layers import spelled

    inputs = find_inputs(input)
    chosen = find_classified(model, classifier, output, latent_size, key=key, activation=activation, inputs=inputs)
    inputs, output = settings.inputs_of(chosen, inputs), settings.output_of(chosen, output)
    set_threads(chosen.generator, chosen.latent.shape, None, inputs)
    told = Boundary.of(boundary, chosen.latent)
    network = Network(chosen.generator, chosen.latent.shape, output=output, inputs=inputs, boundary=told)
    whole, is_judged = network, isinstance(chosen.generator, Classified)
    if is_judged:  # an image does not pass its classifier, the logits do
        network = Network(chosen.generator, chosen.latent.shape, output=LOGITS, inputs=inputs, boundary=told)
    draws = chosen.latent.sample(_DRAWS, torch.Generator().manual_seed(0))
    others: list[Layer | None] = []
    with show.progress_bar(json) as progress:
        n = len(network.layers)
        listed = network.measured(draws, progress=lambda done, _: progress("layers", done, 2 * n, ""))
        for layer in listed:
            is_bypassed = (layer.past or 0) > NONE_PAST
            others.append(network.instead_of(layer, draws) if is_bypassed else None)
            progress("layers", n + len(others), 2 * n, "")
        joins = [replace(layer, past=network.past(layer, draws)) for layer in network.joins]
    for text in network.notices:
        show.warning(text)
    instead = [None if other is None else other.key for other in others]
    places = [] if boundary is None else [_range(network, layer) for layer in listed]
    if json:
        beside = [{"boundary": place} for place in places] or [{}] * len(listed)
        rows = zip(listed, instead, beside, strict=True)
        show.as_json([{**asdict(layer), "instead": key, **place} for layer, key, place in rows])
        return
    is_bypassed = any((layer.past or 0) > NONE_PAST for layer in listed)
    headings = ["layer", "path", "kind", "shape", "units", *(["past", "instead"] if is_bypassed else [])]
    rows = [
        [layer.number, *_told(layer), *([_share(layer.past), "" if key is None else key] if is_bypassed else [])]
        for layer, key in zip(listed, instead, strict=True)
    ]
    if places:
        headings.append("boundary")
        rows = [[*row, "none" if place is None else told_of(*place)] for row, place in zip(rows, places, strict=True)]
    if rows:
        show.table(headings, rows)
    else:
        paths = [path for path, module in network.generator.named_modules() if path and not any(module.children())]
        names = ", ".join(map(spelled, paths[:_SHOWN])) + (", ..." if len(paths) > _SHOWN else "")
        show.say(
            f"No non-linearity that egbas numbers was seen (a sine is none). --layer takes a module: {names or 'none'}"
        )
    if is_bypassed:
        of = "logits" if is_judged else "images"
        show.say(f"past: how much of what makes {of} differ flows past the layer, through a skip; its units hold none")
        show.say("of that. instead: the next layer that nothing flows past, such as the state after the addition.")
        if joins:
            show.table(
                ["joined at", "kind", "shape", "units", "past"], [[*_told(one), _share(one.past)] for one in joins]
            )
    show.say(f"The image: {whole.told_image}.{' What is held: the logits.' if is_judged else ''}")
    if any(spelled(layer.path).startswith(".") for layer in listed):
        show.say("--layer 3 is the third non-linearity, --layer .3 the module of the path 3.")


def _told(layer: "Layer") -> list[object]:
    from egbas.network.layers import spelled

    return [spelled(layer.path), layer.kind, " x ".join(map(str, layer.shape)), layer.units]


def _range(network: "Network", layer: "Layer") -> tuple[float, float] | None:
    """The least and the largest threshold of a layer's units; None where it has no such boundary."""
    from egbas.errors import LayerNotFoundError

    try:
        thresholds = network.thresholds(layer)
    except LayerNotFoundError:
        return None
    return (0.0, 0.0) if thresholds is None else (float(thresholds.min()), float(thresholds.max()))


def _share(past: float | None) -> str:
    """A share as people read it; empty where it is not known."""
    return "" if past is None else f"{min(past, 1):.0%}"


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
