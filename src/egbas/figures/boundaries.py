# SPDX-License-Identifier: MIT
"""All generative boundaries of a layer in a 2-D latent plane, the supporting ones marked; figure 2 of the paper.

``trace_boundaries`` evaluates every unit on a grid and returns lines; ``boundaries_figure`` only draws them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import contourpy
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray
from torch import Tensor

from egbas.figures.panel import new_figure, show_picture
from egbas.figures.plane import MAX_VALUES, PLANE, Window
from egbas.figures.regions import QUERY_MARK, REGION_ALPHA, fill_region, plane_axes
from egbas.figures.style import BLACK, BLUE, GREY, ORANGE, pixel_range
from egbas.region import MICRO_BATCH, SupportingRegion

PANEL = 1.9  # inches, width of a panel
MANY = 120  # supporting units in a panel, from which on their lines are drawn thinner
THIN = 0.3  # points, width of the lines of all units
_AT_ONCE = 2048  # units whose lines are followed in one call
Line = NDArray[np.float64]  # (points, 2)
Lines = dict[int, list[Line]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Boundaries:
    """The zero sets of a layer's units within a window of the latent plane.

    Attributes:
        xs: (r,) grid along the first coordinate, latent units.
        ys: (r,) grid along the second.
        margin: (r, r), rows along y, smallest signed pre-activation of the kept units; >= 0 inside the region.
        lines: pieces (points, 2) of the zero set of each unit that changes sign on the grid, by its index in the
            flattened layer.
        kept: indices of the units that bound the region, whether they cross the window or not.
    """

    xs: NDArray[np.float64]
    ys: NDArray[np.float64]
    margin: NDArray[np.float64]
    lines: Lines
    kept: frozenset[int]

    @property
    def crossing_kept(self) -> list[int]:
        """The kept units that change sign within the window."""
        return [unit for unit in self.lines if unit in self.kept]

    @property
    def window(self) -> Window:
        """Left, right, bottom, top, latent units."""
        return float(self.xs[0]), float(self.xs[-1]), float(self.ys[0]), float(self.ys[-1])


def trace_boundaries(
    region: SupportingRegion, window: Window, *, resolution: int = 240, max_values: int = MAX_VALUES
) -> Boundaries:
    """Follow the zero set of every unit of the region's layer through a window.

    The grid is worked off in strips of rows that share their last row with the next one, so that at most about
    ``max_values`` pre-activations are held at once, and the lines of the strips meet exactly.

    Args:
        region: whose layer and kept units are drawn.
        window: left, right, bottom, top, latent units.
        resolution: r, grid points along a side.
        max_values: pre-activations held at once.

    Raises:
        ShapeError: the latent space is no plane.
    """
    xs, ys = np.linspace(*window[:2], resolution), np.linspace(*window[2:], resolution)
    units, signs = region.units.cpu().numpy(), region.signs.cpu().numpy()
    rows = max(1, max_values // (resolution * region.layer.units))
    margin = np.full((resolution, resolution), np.inf)
    lines: Lines = {}
    values = _layer_values(region, xs, ys[:1])  # (units, rows, r), the last row of the strip below
    for first in range(0, resolution - 1, rows):
        strip = slice(first, min(first + rows + 1, resolution))
        values = np.concatenate([values[:, -1:], _layer_values(region, xs, ys[strip][1:])], axis=1)
        if len(units):
            margin[strip] = (values[units] * signs[:, None, None]).min(0)
        crossing = np.flatnonzero((values.min((1, 2)) < 0) & (values.max((1, 2)) > 0))
        for some in np.array_split(crossing, len(crossing) // _AT_ONCE + 1):
            for grid, line in _zero_lines(values[some], xs, ys[strip]):
                lines.setdefault(int(some[grid]), []).append(line)
    return Boundaries(xs=xs, ys=ys, margin=margin, lines=lines, kept=frozenset(units.tolist()))


def _layer_values(region: SupportingRegion, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float32]:
    """Pre-activations (units, rows, columns) of the whole layer on a grid."""
    grid = torch.from_numpy(np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, PLANE))
    batches = [region.split.head(z).float().cpu() for z in grid.to(region.split.dtype).split(MICRO_BATCH)]
    return torch.cat(batches).T.reshape(-1, len(ys), len(xs)).numpy()


def _zero_lines(
    values: NDArray[np.float32], xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> Iterator[tuple[int, Line]]:
    """Contours at zero of many grids (k, rows, columns), each with the number of its grid.

    The grids are laid one above the other with a row of NaN between them, where lines end: a call for each of
    ten thousand units takes many times as long as one call for all.
    """
    k, rows, columns = values.shape
    if not k:
        return
    stacked = np.full((k, rows + 1, columns), np.nan)
    stacked[:, :rows] = values
    follow = contourpy.contour_generator(z=stacked.reshape(-1, columns), line_type="ChunkCombinedOffset")
    ((points,), (offsets,)) = cast(tuple[list[Line], list[NDArray[np.uint32]]], follow.lines(0.0))
    # In steps of the grid. Half a row up, since rounding may put a point a little below the first row of its grid.
    grids = (points[:, 1] + 0.5).astype(np.int64) // (rows + 1)
    points = np.stack(
        [
            np.interp(points[:, 0], np.arange(columns), xs),
            np.interp(points[:, 1] - grids * (rows + 1), np.arange(rows), ys),
        ],
        axis=1,
    )
    for first, last in pairwise(offsets.tolist()):
        yield int(grids[first]), points[first:last]


def boundaries_figure(
    wide: Boundaries, near: Boundaries, query: Tensor, query_image: Tensor, masked_image: Tensor
) -> Figure:
    """Draw all boundaries, those of the supporting set, and these magnified, with the image that each set generates.

    Args:
        wide: of a window around the query.
        near: of a smaller one within it, drawn magnified.
        query: (2,).
        query_image: (c, h, w) G(z0), made by all units.
        masked_image: (c, h, w), made by the supporting units alone.
    """
    figure = new_figure(7.2, 3.75)
    panels = figure.subplots(2, 3, height_ratios=[2.3, 0.9])
    texts = (
        f"(a) all boundaries ({len(wide.lines)} units)",
        f"(b) supporting set ({len(wide.crossing_kept)} units)",
        f"(c) magnified ({len(near.crossing_kept)} of {len(near.lines)} units)",
    )
    for axes, boundaries, title in zip(panels[0], (wide, wide, near), texts, strict=True):
        axes.set_title(title, fontsize=8)
        _draw_lines(axes, boundaries, with_kept=title is not texts[0])
        axes.plot(*query.tolist(), **QUERY_MARK, zorder=8)
        plane_axes(axes, boundaries.window)
    left, right, bottom, top = near.window
    for axes in panels[0, :2]:
        axes.add_patch(Rectangle((left, bottom), right - left, top - bottom, fill=False, linestyle="--", zorder=6))
    limits = pixel_range(torch.stack([query_image, masked_image]))
    show_picture(panels[1, 0], query_image, limits)
    panels[1, 0].set_xlabel("image of the query", fontsize=8)
    show_picture(panels[1, 1], masked_image, limits)
    panels[1, 1].set_xlabel(f"image of the {len(wide.kept)} supporting units alone", fontsize=8)
    panels[1, 2].set_axis_off()
    panels[1, 2].legend(handles=_legend(), loc="center", fontsize=8, frameon=False)
    return figure


def _draw_lines(axes: Axes, boundaries: Boundaries, *, with_kept: bool) -> None:
    every = [line for lines in boundaries.lines.values() for line in lines]
    opacity = _opacity(every, boundaries.window) * (0.6 if with_kept else 1.0)
    # Rasterised: thousands of lines become one picture in a PDF.
    axes.add_collection(
        LineCollection(every, colors=BLACK, linewidths=THIN, alpha=opacity, rasterized=True), autolim=False
    )
    if not with_kept:
        return
    fill_region(axes, boundaries.xs, boundaries.ys, boundaries.margin)
    kept = [line for unit in boundaries.crossing_kept for line in boundaries.lines[unit]]
    width = 0.6 if len(boundaries.crossing_kept) < MANY else 0.35
    axes.add_collection(LineCollection(kept, colors=BLUE, linewidths=width, rasterized=True), autolim=False)


def _opacity(lines: list[Line], window: Window) -> float:
    """Opacity at which lines leave a panel readable: the more of it they cover, the fainter."""
    length = sum(float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in lines)
    covered = length / (window[1] - window[0]) * THIN / (PANEL * 72)
    return min(0.7, max(0.5 / max(covered, 1e-9), 0.03))


def _legend() -> list[Line2D | Patch]:
    return [
        Line2D([], [], color=GREY, linewidth=0.8, label="boundary of a unit"),
        Line2D([], [], color=BLUE, linewidth=1.2, label="boundary of a supporting unit"),
        Patch(facecolor=ORANGE, alpha=REGION_ALPHA, label="region of the query"),
        Line2D([], [], label="query", **QUERY_MARK),
        Line2D([], [], color=BLACK, linestyle="--", linewidth=1, label="window of (c)"),
    ]
