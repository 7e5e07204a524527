# SPDX-License-Identifier: MIT
"""Table 1's ratio against each setting of E-GBAS, a line per layer."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from egbas.errors import ShapeError
from egbas.figures.panel import new_figure
from egbas.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION

LINES = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (ORANGE, "D"), (BLACK, "v"))
LABELS = {
    "sparsity": "sparsity",
    "threshold": "threshold p",
    "step size": "step size / automatic",
    "half-width": "half-width / automatic",
    "iterations": "iterations",
}


def sensitivity_figure(
    rows: Sequence[Mapping[str, Any]], methods: Sequence[str] = ("eps-L2", "radius-matched")
) -> Figure:
    """Draw E-GBAS over a baseline against each setting: a row of panels per model and baseline, a line per layer.

    Args:
        rows: as ``egbas.reproduce.sensitivity.run`` gives them.
        methods: baselines to draw.

    Raises:
        ShapeError: there are no rows of these baselines.
    """
    rows = [row for row in rows if row["method"] in methods]
    if not rows:
        raise ShapeError(f"got no rows of the baselines {', '.join(methods)}; expected at least one")
    lines = list(dict.fromkeys((row["model"], row["method"]) for row in rows))
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    figure = new_figure(2.1 * len(settings) + 0.6, 1.9 * len(lines) + 0.5)
    panels = figure.subplots(len(lines), len(settings), squeeze=False, sharey=True)
    for line, (model, method) in zip(panels, lines, strict=True):
        for axes, setting in zip(line, settings, strict=True):
            chosen = [row for row in rows if (row["model"], row["method"], row["setting"]) == (model, method, setting)]
            _draw_setting(axes, chosen)
        line[0].set_ylabel(f"{model}\nE-GBAS / {method}", fontsize=8)
    for axes, setting in zip(panels[-1], settings, strict=True):
        axes.set_xlabel(LABELS.get(setting, setting), fontsize=8)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8, frameon=False)
    return figure


def _draw_setting(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    for number, layer in enumerate(layers):
        colour, marker = LINES[number % len(LINES)]
        points = sorted((row["value"], row["mean"], row["low"], row["high"]) for row in rows if row["layer"] == layer)
        values = [point[0] for point in points]
        axes.plot(
            values,
            [point[1] for point in points],
            color=colour,
            marker=marker,
            markersize=3.5,
            linewidth=1.1,
            label=f"l = {layer}",
        )
        if all(point[2] is not None for point in points):
            low, high = [point[2] for point in points], [point[3] for point in points]
            axes.fill_between(values, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.axhline(1.0, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    ticks = sorted({row["value"] for row in rows})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(ticks, [_tick(value) for value in ticks])
    axes.tick_params(labelsize=7)


def _tick(value: float) -> str:
    return "1/3" if abs(value - 1 / 3) < 1e-9 else f"{value:g}"
