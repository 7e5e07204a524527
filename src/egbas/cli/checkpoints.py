# SPDX-License-Identifier: MIT
"""``egbas inspect`` and ``egbas convert``: what a checkpoint file holds, and a neutral copy of it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from egbas.cli import options, show


def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A checkpoint, or a model of the zoo.")],
    seed: Annotated[int, typer.Option(metavar="S", help="Of the latents that the images are checked on.")] = 0,
    key: options.Key = None,
    activation: options.Activation = None,
    json: options.Json = False,
) -> None:
    """Tell what a checkpoint holds, and check its output: range, spread, scores, scale of the latent.

    Nothing in the file is run. See docs/checkpoints.md for the formats.
    """
    from egbas.inputs.queries import seeded
    from egbas.network.layers import spelled
    from egbas.zoo.inspection import inspect as describe
    from egbas.zoo.models import load_model

    seeded(seed)
    model = load_model(file if _is_zoo_name(file) else Path(file), key=key, activation=activation)
    described = describe(model, seed)
    if json:
        show.as_json(described)
        return
    for line in _lines(described):
        show.say(line)
    rows = [
        (layer["number"], spelled(layer["path"]), layer["kind"], " x ".join(map(str, layer["shape"])), layer["units"])
        for layer in described["layers"]
    ]
    show.table(("layer", "path", "kind", "shape", "units"), rows)
    for problem in described["check"]["problems"]:
        show.warning(problem)


def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint of any format that egbas reads.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.safetensors", help="File to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.safetensors.")] = False,
    key: options.Key = None,
    activation: options.Activation = None,
) -> None:
    """Write a checkpoint as one neutral file: plain weights and a header; it gives the same networks bit for bit."""
    from egbas.storage import write_file
    from egbas.storage.destination import check_writable
    from egbas.zoo.convert import convert as convert_file

    check_writable(out.expanduser().parent)
    name = convert_file(
        file.expanduser(), out.expanduser(), write_file, overwrite=overwrite, key=key, activation=activation
    )
    show.say(f"{out} ({name} -> egbas, {out.expanduser().stat().st_size / 2**20:.1f} MiB)")


def _is_zoo_name(name: str) -> bool:
    from egbas.zoo.models import cards

    return name in [card.name for card in cards()]


def _lines(described: dict[str, Any]) -> list[str]:
    """What there is to say above the table of layers."""
    check, latent = described["check"], described["latent"]
    facts = {name.replace("_", " "): value for name, value in described["facts"].items()}
    c, *size = described["image"]
    shape = " x ".join(map(str, latent["shape"]))
    critic = described["discriminator_parameters"]
    lines = [
        _line("model", described["name"]),
        _line("format", facts.pop("format", "embedded in egbas")),
        _line("images", f"{' x '.join(map(str, size))}, {c} channel{'s' if c > 1 else ''}" if size else f"{c} values"),
        *([_line("channels", ", ".join(map(str, described["channels"])))] if described["channels"] else []),
        _line("latent", f"{shape}, {latent['prior']}"),
        _line("generator", f"{described['parameters']:,} weights"),
        _line("discriminator", f"{critic:,} weights" if critic else "none"),
        *(_line(name, value) for name, value in facts.items()),
        _line("sha256", described["sha256"]),
        "",
        _line("range", f"{check['smallest']:.3g} to {check['largest']:.3g} on {check['latents']} latents"),
        _line("outside [-1, 1]", f"{check['outside_range']:.1%} of the pixels"),
        _line("spread", f"{check['spread']:.3g}, standard deviation over latents, mean over pixels"),
    ]
    if "scores" in check:
        lines.append(_line("scores", ", ".join("not finite" if s is None else f"{s:.4g}" for s in check["scores"])))
    invariant = "yes: only the latent's direction counts" if check["scale_invariant"] else "no"
    return [*lines, _line("scale invariant", invariant)]


def _line(name: str, value: object) -> str:
    return f"{name:<21}{value}"
