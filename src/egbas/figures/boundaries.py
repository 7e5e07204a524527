# SPDX-License-Identifier: MIT
"""All generative boundaries of a layer in a 2-D latent plane, the supporting ones marked; figure 2 of the paper.

``trace_boundaries`` evaluates every unit on a grid and returns lines; ``boundaries_figure`` only draws them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import contourpy
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.plane import MAX_VALUES, PLANE, Window
from egbas.figures.style import BLACK, BLUE, GREY, SKY_BLUE, VERMILION, frame, new_figure, pixel_range, show_picture
from egbas.region import MICRO_BATCH, Region

Lines = dict[int, list[NDArray[np.float64]]]


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


def trace_boundaries(region: Region, window: Window, *, resolution: int = 240, max_values: int = MAX_VALUES) -> Boundaries:
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
    rows = max(2, max_values // (resolution * region.layer.units))
    margin = np.full((resolution, resolution), np.inf)
    lines: Lines = {}
    for first in range(0, resolution - 1, rows - 1):
        part = slice(first, min(first + rows, resolution))
        values = _layer_values(region, xs, ys[part])  # (units, rows, r)
        if len(units):
            margin[part] = (values[units] * signs[:, None, None]).min(0)
        for unit in np.flatnonzero((values.min((1, 2)) < 0) & (values.max((1, 2)) > 0)):
            found = contourpy.contour_generator(xs, ys[part], values[unit]).lines(0.0)
            lines.setdefault(int(unit), []).extend(np.asarray(piece) for piece in found)
    return Boundaries(xs=xs, ys=ys, margin=margin, lines=lines, kept=frozenset(units.tolist()))


def _layer_values(region: Region, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float32]:
    """Pre-activations (units, rows, columns) of the whole layer on a grid."""
    grid = torch.from_numpy(np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, PLANE))
    parts = [region.split.head(z).float().cpu() for z in grid.to(region.split.dtype).split(MICRO_BATCH)]
    return torch.cat(parts).T.reshape(-1, len(ys), len(xs)).numpy()
