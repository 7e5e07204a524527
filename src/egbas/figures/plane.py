# SPDX-License-Identifier: MIT
"""The latent plane of a 2-D generator: region, boundaries, tree, rejected points; figs. 2 to 4 of the paper.

``map_plane`` evaluates the layer on a grid and returns arrays; ``plane_figure`` only draws them.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.style import BLACK, BLUE, GREY, ORANGE, SKY_BLUE, VERMILION, new_figure
from egbas.region import MICRO_BATCH, SupportingRegion
from egbas.samplers.gbrrt import OUTSIDE, TOO_CLOSE

PLANE = 2  # coordinates of a latent that can be drawn
MAX_VALUES = 2**25  # pre-activations held at once: 128 MiB in float32
MIN_RESOLUTION = 32

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
    resolution: int = 96,
    max_units: int = 40,
    batch_size: int = MICRO_BATCH,
) -> PlaneMap:
    """Evaluate a region and its units on a grid of the latent plane.

    Very large sets of units are mapped on a coarser grid, so that at most 2**25 values are held at once.

    Args:
        region: whose kept units are mapped.
        query: (2,), gives dtype and device.
        window: left, right, bottom, top, latent units.
        resolution: grid points along a side.
        max_units: boundaries returned at most: first those that bound the region within the window.
        batch_size: latents per forward pass.

    Raises:
        ShapeError: the latent space is no plane.
    """
    if query.numel() != PLANE:
        raise ShapeError(f"the latent has {query.numel()} coordinates; only a 2-D latent space can be drawn as a plane")
    n_units = max(len(region.units), 1)
    side = max(MIN_RESOLUTION, min(resolution, math.isqrt(MAX_VALUES // n_units)))
    xs, ys = np.linspace(*window[:2], side), np.linspace(*window[2:], side)
    grid = torch.from_numpy(np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, PLANE))
    values = _unit_values(region, grid.to(query), batch_size).reshape(-1, side, side)
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


def _unit_values(region: SupportingRegion, grid: Tensor, batch_size: int) -> NDArray[np.float32]:
    """Pre-activations (k, n) of the kept units at the latents (n, 2)."""
    batches = [region.split.head(z)[:, region.units].float().cpu() for z in grid.split(batch_size)]
    return torch.cat(batches).T.numpy()


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


def plane_figure(
    plane: PlaneMap,
    latents: Tensor,
    parents: Tensor,
    rejected: Tensor,
    rejected_reason: Tensor,
    inset: PlaneMap | None = None,
) -> Figure:
    """Draw the region, boundaries of its kept units, the tree, the rejected points and the query.

    Args:
        plane: of the window to draw.
        latents: (n, 2), the query first.
        parents: (n,), -1 for the query.
        rejected: (r, 2) rejected candidates.
        rejected_reason: (r,), 1 outside the region, 2 too close.
        inset: a smaller window, drawn magnified in a corner of its own panel.
    """
    points = latents.detach().double().cpu().numpy()
    refused = rejected.detach().double().cpu().numpy()
    reason = rejected_reason.cpu().numpy()
    figure = new_figure(9.4 if inset else 4.8, 5.0)
    panels = figure.subplots(1, 2 if inset else 1, squeeze=False)[0]
    edges = np.stack([points[1:], points[parents[1:].cpu().numpy()]], axis=1)
    for axes, drawn in zip(panels, (plane, inset), strict=False):
        if drawn is not None:
            _draw_plane(axes, drawn, points, edges, refused, reason)
    if inset is not None:
        left, right, bottom, top = inset.window
        panels[0].add_patch(_rectangle(left, right, bottom, top))
        panels[1].set_title("magnified near the query (dashed square)", fontsize=9)
    drawn = (
        f"{len(plane.units)} of {plane.n_crossing}" if len(plane.units) < plane.n_crossing else f"{plane.n_crossing}"
    )
    panels[0].set_title(f"region with {drawn} boundaries in this window", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3 if inset else 2, fontsize=7.5, frameon=False)
    return figure


def _rectangle(left: float, right: float, bottom: float, top: float) -> Rectangle:
    return Rectangle((left, bottom), right - left, top - bottom, fill=False, linestyle="--", linewidth=1, zorder=6)


def _draw_plane(
    axes: Axes,
    plane: PlaneMap,
    points: NDArray[np.float64],
    edges: NDArray[np.float64],
    refused: NDArray[np.float64],
    reason: NDArray[np.int8],
) -> None:
    top = max(float(plane.margin.max()), 0.0) + 1.0
    if plane.inside.any():
        axes.contourf(plane.xs, plane.ys, plane.margin.clip(max=top), levels=[0, top], colors=[SKY_BLUE], alpha=0.35)
        axes.fill([], [], color=SKY_BLUE, alpha=0.35, label="region")
    for value in plane.values:
        axes.contour(plane.xs, plane.ys, value, levels=[0], colors=[GREY], linewidths=0.6)
    axes.plot([], [], color=GREY, linewidth=0.8, label="boundaries of kept units")
    for code, marker, colour, label in (
        (OUTSIDE, "x", VERMILION, "rejected: outside the region"),
        (TOO_CLOSE, "+", ORANGE, "rejected: too close to a node"),
    ):
        some = refused[reason == code]
        if len(some):
            axes.plot(some[:, 0], some[:, 1], marker, color=colour, markersize=2.5, markeredgewidth=0.6, label=label)
    axes.add_collection(LineCollection(list(edges), colors=BLUE, linewidths=0.6, alpha=0.8))
    axes.plot(points[1:, 0], points[1:, 1], "o", color=BLUE, markersize=2, label="tree (accepted nodes)")
    axes.plot(
        *points[0],
        "*",
        color="white",
        markersize=13,
        markeredgecolor=BLACK,
        markeredgewidth=1.2,
        label="query",
        zorder=7,
    )
    axes.set(xlim=plane.window[:2], ylim=plane.window[2:], aspect="equal")
    axes.set_xlabel("latent coordinate 1", fontsize=8)
    axes.set_ylabel("latent coordinate 2", fontsize=8)
    axes.tick_params(labelsize=7)
