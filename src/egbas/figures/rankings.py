# SPDX-License-Identifier: MIT
"""How faithful the first units of simple rankings are, beside BerOpt's sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from egbas.errors import ShapeError
from egbas.figures.panel import new_figure
from egbas.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, SKY_BLUE, VERMILION

_STYLES = ((BLUE, "-"), (SKY_BLUE, "-"), (GREEN, "-"), (ORANGE, "-"), (BLACK, "--"), (GREY, ":"))


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One layer of one model.

    Attributes:
        title: above it.
        curves: name of each ranking and its relative distances, one for each share; the same names in all panels.
        points: (share of active units, relative distance) of BerOpt's set of each query.
    """

    title: str
    curves: Mapping[str, Sequence[float]]
    points: Sequence[tuple[float, float]]


def rankings_figure(panels: Sequence[Panel], shares: Sequence[float], columns: int = 4) -> Figure:
    """Draw relative distance against the share of active units kept: a line for each ranking, stars for BerOpt.

    Args:
        panels: in rows of ``columns``.
        shares: of the active units, at which the curves were computed; in (0, 1].
        columns: panels in a row.

    Raises:
        ShapeError: there is no panel, more rankings than line styles, or a curve without one value for each share.
    """
    lengths = {len(curve) for panel in panels for curve in panel.curves.values()}
    most = max((len(panel.curves) for panel in panels), default=0)
    if lengths != {len(shares)} or most > len(_STYLES):
        raise ShapeError(
            f"got {len(panels)} panels of at most {most} curves with {sorted(lengths)} values; "
            f"expected panels of at most {len(_STYLES)} curves with {len(shares)} values"
        )
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(2.1 * columns + 0.8, 1.9 * rows + 0.8)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(axes, panel, shares)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    grid[0, 0].set_ylim(bottom=0)
    figure.supxlabel("share of the active units that is kept", fontsize=9)
    figure.supylabel("relative distance", fontsize=9)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure


def _draw(axes: Axes, panel: Panel, shares: Sequence[float]) -> None:
    for (name, curve), (colour, line) in zip(panel.curves.items(), _STYLES, strict=False):
        axes.plot(shares, curve, color=colour, linestyle=line, linewidth=1.2, label=name)
    across, up = [share for share, _ in panel.points], [distance for _, distance in panel.points]
    axes.plot(across, up, color=VERMILION, linestyle="none", marker="*", markersize=5, label="BerOpt, each query")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
    axes.set_title(panel.title, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25, linewidth=0.5)
