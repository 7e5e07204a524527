# SPDX-License-Identifier: MIT
"""``egbas exits``: counterfactuals of a run, the nearest ways out of its region, and the way back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from egbas.cli import options, show

if TYPE_CHECKING:
    from egbas.exploration.exits import Exit, Exits
    from egbas.exploration.result import Exploration

TABLE, PICTURE, TENSORS, MAP = "exits.json", "exits.png", "exits.safetensors", "decisions.png"
_WINDOW = 3.0  # deviations of the prior, of the map of a 2-D latent space
_AROUND = 1.6  # times the farthest exit, of the magnified one


def exits(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of 'egbas explore'.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Directory to write.", show_default="RUN-exits")
    ] = None,
    allow_code: options.AllowCode = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find where a run's region ends around its query: the nearest image of another class, and the way back.

    Best of a run with --region class. Writes exits.png to look at, exits.json and exits.safetensors; in a 2-D latent
    space decisions.png, too.
    """
    from egbas.exploration.exits import nearest_exits
    from egbas.storage import check_destination, load_run, save_files
    from egbas.storage.destination import DONE
    from egbas.storage.save import json_bytes

    directory = check_destination(
        out or run.with_name(f"{run.name}-exits"), overwrite, (TABLE, PICTURE, TENSORS, MAP, DONE)
    )
    explored = load_run(run, allow_code=allow_code)
    with show.progress_bar(quiet) as progress:
        found = nearest_exits(explored, progress=lambda done, total, text: progress("exits", done, total, text))
    content = _record(explored, found)
    files = {TABLE: json_bytes(content)}
    save_files({**files, **_pictures(explored, found), TENSORS: _tensors(found)}, directory, overwrite=overwrite)
    if json:
        show.as_json(content)
    elif not quiet:
        for line in _summary(found):
            show.say(line)
        show.say(f"picture  {directory / PICTURE}")


def _record(run: "Exploration", found: "Exits") -> dict[str, Any]:
    decision = run.decision
    return {
        "class": found.target_class,
        "layer": None if run.layer is None else run.layer.path,
        "kept_units": found.kept,
        "nearest": found.nearest.route,
        "routes": {name: _row(one) for name, one in found.routes.items()},
        "classes": [_row(one) for one in found.classes],
        "way": None if decision is None else decision.classes(found.nearest.way.to(run.query.device)).tolist(),
        "back": None if found.back is None else _row(found.back),
    }


def _row(one: "Exit") -> dict[str, Any]:
    return {
        "route": one.route,
        "distance": one.distance,
        "image_distance": one.image_distance,
        "next_class": one.next_class,
        "margin": one.margin,
        "margin_before": one.margin_before,
        "flipped_units": None if one.flipped is None else one.flipped.tolist(),
    }


def _pictures(run: "Exploration", found: "Exits") -> dict[str, bytes]:
    from egbas.exploration.exits import GRADIENT
    from egbas.figures.exits import exits_figure

    rows = {f"by the {name}" if name == GRADIENT else f"along the {name}": one for name, one in found.routes.items()}
    first: list[int | None] = [found.target_class] * len(rows)
    if found.back is not None:
        rows, first = rows | {"the way back": found.back}, [*first, found.nearest.next_class]
    pictures = {PICTURE: _png(exits_figure(rows, run.network.generate, first))}
    decision = run.decision
    if decision is None or run.latent.size != 2:
        return pictures
    return pictures | {MAP: _png(_map(run, found))}


def _map(run: "Exploration", found: "Exits") -> Any:
    import torch

    from egbas.figures.decisions import decisions_figure, map_decisions
    from egbas.latent import Uniform

    assert run.decision is not None
    query, shown = run.query.cpu(), list(dict.fromkeys([*found.routes.values(), *found.classes]))
    bound = run.latent.prior.bound if isinstance(run.latent.prior, Uniform) else _WINDOW * run.latent.scale
    wide = max(bound, 1.1 * float(query.abs().max()))
    near = _AROUND * max(one.distance for one in found.routes.values())  # exits into other classes may lie far
    x, y = query.tolist()
    tree = run.tree
    edges = torch.zeros(0, 2, 2, dtype=torch.float32)
    if tree is not None and len(tree.latents) > 1:
        edges = torch.stack([tree.latents[1:], tree.latents[tree.parents[1:]]], dim=1)
    windows = (-wide, wide, -wide, wide), (x - near, x + near, y - near, y + near)
    everywhere, around = (map_decisions(run.decision, window) for window in windows)
    return decisions_figure(everywhere, around, query, edges, shown)


def _png(figure: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _tensors(found: "Exits") -> bytes:
    from safetensors.torch import save

    tensors = {f"routes/{name}": one.latent for name, one in found.routes.items()}
    tensors |= {f"classes/{one.next_class}": one.latent for one in found.classes}
    tensors |= {"query": found.nearest.start}
    if found.back is not None:
        tensors |= {"back": found.back.latent, "back_start": found.back.start}
    return save({name: value.cpu().clone().contiguous() for name, value in tensors.items()})


def _summary(found: "Exits") -> list[str]:
    lines = []
    if found.target_class is not None:
        lines.append(f"class    {found.target_class}")
    for name, one in sorted(found.routes.items(), key=lambda item: item[1].distance):
        lines.append(f"exit     {one.distance:.4g} away by {name}{_told(one, found.kept)}")
    into = ", ".join(f"{one.next_class} at {one.distance:.4g}" for one in found.classes)
    lines += [f"classes  {into}"] if into else []
    if found.back is not None:
        lines.append(f"back     {found.back.distance:.4g} from a little beyond, into class {found.back.next_class}")
    before, there = found.nearest.margin_before, found.nearest.margin
    return [*lines, f"checked  margin {before:.3g} a tenth before the nearest exit, {there:.2g} there, in float64"]


def _told(one: "Exit", kept: int | None) -> str:
    into = "" if one.next_class is None else f", into class {one.next_class}"
    units = "" if one.flipped is None else f", {len(one.flipped)} of {kept} kept units flip"
    return f" (image {one.image_distance:.2f}){into}{units}"
