# SPDX-License-Identifier: MIT
"""The latent plane of a 2-D generator: region, boundaries, tree, rejected points; figs. 2 to 4 of the paper.

``map_plane`` evaluates the layer on a grid and returns arrays; ``plane_drawing`` only draws them.
"""

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from contourpy import FillType, LineType, contour_generator
from numpy.typing import NDArray
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.drawing import CIRCLE, CROSS, PLUS, Drawing, Points
from egbas.figures.plot import Plot
from egbas.figures.style import BLACK, BLUE, GREY, ORANGE, SKY_BLUE, VERMILION
from egbas.region import SupportingRegion
from egbas.samplers.gbrrt import OUTSIDE, TOO_CLOSE

PLANE = 2  # coordinates of a latent that can be drawn
MAX_VALUES = 2**25  # pre-activations held at once: 128 MiB in float32
MIN_RESOLUTION = 32
_PALE = 0.35  # opacity of the region

Window = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaneMap:
    """A region and its boundaries on a grid of the latent plane.

    Attributes:
        xs: (r,) grid along the first coordinate, latent units.
        ys: (r,) grid along the second.
        margin: (r, r), rows along y, smallest signed pre-activation of the kept units; >= 0 inside.
        values: (m, r, r) pre-activations of the units whose boundaries are drawn.
        units: (m,) their indices into the flattened layer, those that bound the region first.
        n_crossing: how many kept units change sign within the window; m of them are drawn.
    """

    xs: NDArray[np.float64]
    ys: NDArray[np.float64]
    margin: NDArray[np.float64]
    values: NDArray[np.float64]
    units: NDArray[np.int64]
    n_crossing: int

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(r, r), whether a grid point lies in the region."""
        return self.margin >= 0

    @property
    def window(self) -> Window:
        """Left, right, bottom, top, latent units."""
        return float(self.xs[0]), float(self.xs[-1]), float(self.ys[0]), float(self.ys[-1])


def plane_window(points: Tensor, pad: float = 0.12) -> Window:
    """Find the square window around points (n, 2), padded by a share of its width on each side."""
    low, high = points.amin(0), points.amax(0)
    middle = (low + high) / 2
    half = max(float((high - low).max()) / 2 * (1 + 2 * pad), 1e-6)
    return (
        float(middle[0]) - half,
        float(middle[0]) + half,
        float(middle[1]) - half,
        float(middle[1]) + half,
    )


def map_plane(
    region: SupportingRegion,
    query: Tensor,
    window: Window,
    *,
    resolution: int = 56,
    max_units: int = 40,
) -> PlaneMap:
    """Evaluate a region and its units on a grid of the latent plane.

    Very large sets of units are mapped on a coarser grid, so that at most 2**25 values are held at once.

    Args:
        region: whose kept units are mapped.
        query: (2,), gives dtype and device.
        window: left, right, bottom, top, latent units.
        resolution: grid points along a side.
        max_units: boundaries returned at most: first those that bound the region within the window.

    Raises:
        ShapeError: the latent space is no plane.
    """
    if query.numel() != PLANE:
        raise ShapeError(f"the latent has {query.numel()} coordinates; only a 2-D latent space can be drawn as a plane")
    n_units = max(len(region.units), 1)
    side = max(MIN_RESOLUTION, min(resolution, math.isqrt(MAX_VALUES // n_units)))
    xs, ys = np.linspace(*window[:2], side), np.linspace(*window[2:], side)
    grid = torch.from_numpy(np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, PLANE))
    values = region.values(grid.to(query)).float().T.numpy().reshape(-1, side, side)
    signed = values * region.signs.cpu().numpy()[:, None, None]
    margin = signed.min(0).astype(np.float64) if len(values) else np.full((side, side), np.inf)
    crossing = (signed.min((1, 2)) < 0) & (signed.max((1, 2)) > 0) if len(values) else np.zeros(0, dtype=bool)
    order = _bounding_first(signed, margin >= 0, crossing)[:max_units]
    return PlaneMap(
        xs=xs,
        ys=ys,
        margin=margin,
        values=values[order].astype(np.float64),
        units=region.units.cpu().numpy()[order],
        n_crossing=int(crossing.sum()),
    )


def _bounding_first(
    signed: NDArray[np.float32], inside: NDArray[np.bool_], crossing: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Order the crossing units: those violated just outside the region first, then those nearest to it."""
    candidates = np.flatnonzero(crossing)
    grown = inside.copy()
    grown[1:] |= inside[:-1]
    grown[:-1] |= inside[1:]
    grown[:, 1:] |= inside[:, :-1]
    grown[:, :-1] |= inside[:, 1:]
    rim = grown & ~inside
    chosen = signed[candidates]
    violations = (chosen[:, rim] < 0).sum(1)
    nearest = chosen[:, inside].min(1) / chosen.std((1, 2)) if inside.any() else np.zeros(len(candidates))
    return candidates[np.lexsort((nearest, -violations))]


def plane_drawing(
    plane: PlaneMap, latents: Tensor, parents: Tensor, rejected: Tensor, rejected_reason: Tensor
) -> Drawing:
    """Draw the region, boundaries of its kept units, the tree, the rejected points and the query.

    Args:
        plane: of the window to draw.
        latents: (n, 2), the query first.
        parents: (n,), -1 for the query.
        rejected: (r, 2) rejected candidates.
        rejected_reason: (r,), 1 outside the region, 2 too close.
    """
    left, right, bottom, top = plane.window
    drawing = Drawing(width=700, height=750)
    plot = Plot(drawing=drawing, left=95.0, top=34.0, width=570.0, height=570.0, x=(left, right), y=(bottom, top))
    few = len(plane.units) < plane.n_crossing
    told = f"{len(plane.units)} of {plane.n_crossing}" if few else f"{plane.n_crossing}"
    drawing.words(plot.left + plot.width / 2, 16.0, f"region with {told} boundaries in this window")
    drawing.area(map(plot.at, _outlines(plane)), SKY_BLUE, opacity=_PALE)
    boundaries = (line for values in plane.values for line in _zero_lines(plane, values))
    drawing.lines(map(plot.at, boundaries), GREY, width=1.2)
    refused, reason = rejected.detach().double().cpu().numpy(), rejected_reason.cpu().numpy()
    is_seen = (refused >= (left, bottom)).all(1) & (refused <= (right, top)).all(1)
    for code, mark, colour in ((OUTSIDE, CROSS, VERMILION), (TOO_CLOSE, PLUS, ORANGE)):
        drawing.marks(plot.at(refused[is_seen & (reason == code)]), mark, colour, width=1.2)
    points = plot.at(latents.detach().double().cpu().numpy())
    edges = np.stack([points[1:], points[parents[1:].cpu().numpy()]], axis=1)
    drawing.lines(edges, BLUE, width=1.2, opacity=0.8)
    drawing.marks(points[1:], CIRCLE, BLUE, width=4.5)
    drawing.star(points[0], BLACK, radius=12.0)
    plot.frame()
    plot.scale_below("latent coordinate 1")
    plot.scale_beside("latent coordinate 2")
    _explain(drawing)
    return drawing


def _outlines(plane: PlaneMap) -> list[Points]:
    """Closed lines around the region, and around its holes."""
    if not plane.inside.any():
        return []
    margin = np.nan_to_num(plane.margin, posinf=1.0)  # of a set without units
    top = float(margin.max()) + 1.0
    grid = contour_generator(plane.xs, plane.ys, margin, fill_type=FillType.OuterOffset)
    outlines, offsets = cast(tuple[list[Points], list[NDArray[np.integer[Any]]]], grid.filled(0.0, top))
    return [
        line for one, starts in zip(outlines, offsets, strict=True) for line in np.split(one, starts[1:-1].tolist())
    ]


def _zero_lines(plane: PlaneMap, values: NDArray[np.float64]) -> list[Points]:
    grid = contour_generator(plane.xs, plane.ys, values, line_type=LineType.Separate)
    return cast(list[Points], grid.lines(0.0))


def _explain(drawing: Drawing) -> None:
    """Write what each mark means, in two columns below the plane."""
    first, second, rows = 100.0, 390.0, (680.0, 704.0, 728.0)
    left, right = first - 14, first + 14
    corners = ((left, rows[0] - 6), (right, rows[0] - 6), (right, rows[0] + 6), (left, rows[0] + 6))
    drawing.area([np.array(corners)], SKY_BLUE, opacity=_PALE)
    drawing.lines([np.array([[left, rows[1]], [right, rows[1]]])], GREY, width=1.2)
    drawing.marks(np.array([[first, rows[2]]]), CROSS, VERMILION, width=1.2)
    drawing.marks(np.array([[second, rows[0]]]), PLUS, ORANGE, width=1.2)
    drawing.marks(np.array([[second, rows[1]]]), CIRCLE, BLUE, width=4.5)
    drawing.star(np.array([second, rows[2]]), BLACK, radius=9.0)
    for x, meanings in (
        (first, ("region", "boundaries of kept units", "rejected: outside the region")),
        (second, ("rejected: too close to a node", "tree (accepted nodes)", "query")),
    ):
        for y, meaning in zip(rows, meanings, strict=True):
            drawing.words(x + 26, y, meaning, anchor="start")
