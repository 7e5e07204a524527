# SPDX-License-Identifier: MIT
"""One self-contained HTML page of a path: layers by levels, pictures and numbers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from matplotlib.figure import Figure

from egbas.beropt import error_of
from egbas.exploration.path import LevelPath, PathPoint
from egbas.figures import choose_even, freedom_picture
from egbas.figures.levels import Cell, levels_figure
from egbas.figures.look import Look
from egbas.report.encode import picture
from egbas.report.template import template
from egbas.samplers.chains import NOT_CONVERGED
from egbas.samplers.mass import told_mass
from egbas.version import __version__

SHOWN = 8  # samples of a cell
_NOISE = 0.02  # of a freedom
HEADINGS = ("layer", "level", "units", "error", "weight", "log10 mass", "freedom", "distance", "R-hat", "draws", "")


def render_path(path: LevelPath, command: str = "") -> str:
    """Render the page of a path.

    Args:
        path: the path.
        command: that makes it again.

    Returns:
        An HTML page with everything inside: no other file, no network.
    """
    look = _look(path)
    query, limits = look.pictures(path.query_image[None])[0], look.limits
    levels = sorted({point.level for point in path.points})
    names = list(dict.fromkeys(_name(point) for point in path.points))
    return template("path.html.j2").render(
        version=__version__,
        title=f"{path.model_name}, layers by levels, seed {path.seed}",
        query=picture(query, limits),
        levels=[(level, f"{error_of(level):.2g}") for level in levels],
        layers=[
            {"name": name, "cells": [_cell(path, point, limits) for point in path.points if _name(point) == name]}
            for name in names
        ],
        headings=HEADINGS,
        lines=table_of(path),
        reading=reading(path.points),
        command=command,
    )


def table_of(path: LevelPath) -> list[list[str]]:
    """The lines under ``HEADINGS``."""
    return [_line(point) for point in path.points]


def figure_of(path: LevelPath) -> Figure:
    """Layers by levels as one picture."""
    look = _look(path)
    levels = sorted({point.level for point in path.points})
    rows: dict[str, list[Cell]] = {}
    for point in path.points:
        facts, units = point.facts, f"{len(point.beropt.units):,} units"
        told = "" if facts is None else f", freedom {facts.mean:.2f}, distance {facts.distance.q50:.2f}"
        exact = None if point.run is None else point.run.exact
        told += "" if exact is None or exact.has_converged else f"\n{exact.diagnostics.text.split(',')[0]}!"
        cell = Cell(
            images=_images(path, point), freedom=None if facts is None else facts.freedom, caption=f"{units}{told}"
        )
        rows.setdefault(f"layer {_name(point)}", []).append(cell)
    columns = [f"level {level}: error {error_of(level):.2g}" for level in levels]
    return levels_figure(look.pictures(path.query_image[None])[0], look.limits, list(rows.items()), columns)


def reading(points: Sequence[PathPoint]) -> str:
    """What the page shows, in sentences: whether freedom falls from the coarse to the fine, and with depth."""
    of = {(point.layer.path, point.level): point.facts.mean for point in points if point.facts is not None}
    if not of:
        return ""
    levels = sorted({level for _, level in of})
    layers = list(dict.fromkeys(layer for layer, _ in of))
    rows = {layer: [of[layer, level] for level in levels if (layer, level) in of] for layer in layers}
    columns = {level: [of[layer, level] for layer in layers if (layer, level) in of] for level in levels}
    told = []
    if len(levels) > 1:
        first, last = columns[levels[0]], columns[levels[-1]]
        told.append(f"Freedom goes from {_span(first)} at level {levels[0]} to {_span(last)} at level {levels[-1]}.")
        if rising := [layer for layer, values in rows.items() if _rises(values)]:
            told.append(f"It does not fall at every step at {', '.join(rising)}.")
    if len(layers) > 1:
        falling = [level for level, values in columns.items() if not _rises(values)]
        told.append(
            "At every level deeper layers hold more."
            if falling == levels
            else f"Each deeper layer holds more at {len(falling)} of {len(levels)} levels."
        )
    return " ".join(told)


def _rises(values: Sequence[float]) -> bool:
    """Whether values that should fall rise somewhere by more than noise."""
    return any(after > before + _NOISE for before, after in pairwise(values))


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _name(point: PathPoint) -> str:
    return point.layer.path if point.layer.number is None else f"{point.layer.number} ({point.layer.path})"


def _cell(path: LevelPath, point: PathPoint, limits: tuple[float, float]) -> dict[str, Any]:
    images = _images(path, point)
    facts, run = point.facts, point.run
    exact = None if run is None else run.exact
    return {
        "freedom": "" if facts is None else picture(freedom_picture(facts.freedom), (0.0, 1.0)),
        "images": [picture(image, limits) for image in images],
        "units": f"{len(point.beropt.units):,}",
        "mass": "1" if run is None else "" if run.mass is None else told_mass(run.mass),
        "told": ""
        if facts is None
        else f"freedom {facts.mean:.2f}, distance {facts.distance.q50:.2f} (to {facts.distance.q95:.2f})",
        "converged": exact is None or exact.status != NOT_CONVERGED,
        "diagnostics": "" if exact is None else exact.diagnostics.text,
        "sentence": "" if exact is None else exact.sentence,
    }


def _look(path: LevelPath) -> Look:
    return Look.of(path.query_image[None], path.image_range)


def _images(path: LevelPath, point: PathPoint) -> torch.Tensor:
    return _look(path).pictures(path.exploring(point.latents[choose_even(len(point.latents), SHOWN)]))


def _line(point: PathPoint) -> list[str]:
    row = point.row()
    mass = row["log10_mass"]
    low, high = row["log10_mass_low"], row["log10_mass_high"]
    interval = "" if mass is None or low is None else f" [{low:.1f}, {high:.1f}]"
    known = row["freedom"] is not None
    return [
        str(row["layer"]),
        str(row["level"]),
        f"{row['units']:,}",
        f"{row['error']:.3f}",
        f"{row['sparsity']:.2g}",
        "" if mass is None else f"{mass:.1f}{interval}" if low is not None else f"below {high:.1f}",
        "" if point.facts is None else f"{point.facts.mean:.2f} {point.facts.interval}",
        f"{row['q05']:.2f} {row['q50']:.2f} {row['q95']:.2f}" if known else "",
        " ".join(
            (
                *([] if row["r_hat"] is None else [f"{row['r_hat']:.2f}"]),
                *(["!"] if row["status"] == NOT_CONVERGED else []),
            )
        ),
        "" if row["ess"] is None else f"{row['ess']:.0f}",
        row["words"],
    ]


def tensors_of(path: LevelPath) -> dict[str, torch.Tensor]:
    """What ``path.safetensors`` holds: of each layer and level its units, samples and freedom."""
    tensors = {"query": path.query}
    for point in path.points:
        place = f"{point.layer.key}/{point.level}"
        tensors |= {f"{place}/units": point.beropt.units, f"{place}/latents": point.latents}
        if point.facts is not None:
            tensors[f"{place}/freedom"] = point.facts.freedom
        if point.run is not None and point.run.exact is not None:
            tensors[f"{place}/chain"] = point.run.exact.chain
    return tensors
