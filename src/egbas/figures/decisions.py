# SPDX-License-Identifier: MIT
"""The decision map of a 2-D latent plane: the region of every class, the tree in one, and the exits from it.

``map_decisions`` asks the classifier on a grid and returns arrays; ``decisions_figure`` only draws them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from torch import Tensor

from egbas.errors import ShapeError
from egbas.exploration.exits import Exit
from egbas.figures.panel import new_figure
from egbas.figures.plane import PLANE, Window
from egbas.figures.regions import QUERY_MARK, plane_axes
from egbas.figures.style import BLACK, BLUE, VERMILION
from egbas.region import MICRO_BATCH, DecisionRegion

_LEAST_SHARE = 0.004  # of the map: a part of a class that has less of it gets no number
_FINER = 4  # times as many points of the map as are asked, their logits between
_PALE = 0.35


@dataclass(frozen=True, kw_only=True, eq=False)
class DecisionMap:
    """The class of every point of a grid.

    Attributes:
        xs: (r,) grid along the first coordinate, latent units.
        ys: (r,) grid along the second.
        classes: (r, r), rows along y.
        n_classes: how many the classifier has.
    """

    xs: NDArray[np.float64]
    ys: NDArray[np.float64]
    classes: NDArray[np.int64]
    n_classes: int

    @property
    def window(self) -> Window:
        """Left, right, bottom, top, latent units."""
        return float(self.xs[0]), float(self.xs[-1]), float(self.ys[0]), float(self.ys[-1])


def map_decisions(region: DecisionRegion, window: Window, *, resolution: int = 96) -> DecisionMap:
    """Ask the classifier on a grid of the latent plane, in the network's own precision.

    Between the points of the grid its logits are interpolated, so that boundaries are no stairs.

    Args:
        region: of any class.
        window: left, right, bottom, top, latent units.
        resolution: points along a side that are asked.

    Raises:
        ShapeError: the latent space is no plane.
    """
    if region.split.latent_size != PLANE:
        raise ShapeError(
            f"the latent has {region.split.latent_size} coordinates; only a 2-D latent space can be drawn as a plane"
        )
    xs, ys = np.linspace(*window[:2], resolution), np.linspace(*window[2:], resolution)
    grid = torch.from_numpy(np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, PLANE))
    others = region.others.cpu()
    # By how much the logit of each class is below that of the region's.
    behind = torch.zeros(len(grid), region.n_classes, dtype=torch.float64)
    for place, z in zip(
        torch.arange(len(grid)).split(MICRO_BATCH),
        grid.to(region.split.device, region.split.dtype).split(MICRO_BATCH),
        strict=True,
    ):
        behind[place[:, None], others] = region.split.head(z).cpu().double()
    fine = _FINER * (resolution - 1) + 1
    coarse = -behind.T.reshape(1, region.n_classes, resolution, resolution)
    finer = torch.nn.functional.interpolate(coarse, (fine, fine), mode="bilinear", align_corners=True)
    classes = finer[0].argmax(dim=0).numpy()
    xs, ys = np.linspace(*window[:2], fine), np.linspace(*window[2:], fine)
    return DecisionMap(xs=xs, ys=ys, classes=classes, n_classes=region.n_classes)


def decisions_figure(
    wide: DecisionMap, near: DecisionMap, query: Tensor, edges: Tensor, exits: Sequence[Exit]
) -> Figure:
    """Draw the decision regions of a plane, and magnified the query with its tree and its exits.

    Args:
        wide: of a window that holds the prior.
        near: of a window around the query and its exits.
        query: (2,).
        edges: (n, 2, 2), the ends of the tree's edges; may be empty.
        exits: from the query.
    """
    figure = new_figure(7.6, 4.1)
    left, right = figure.subplots(1, 2)
    for axes, plane in ((left, wide), (right, near)):
        _draw_classes(axes, plane)
        if len(edges):
            lines = list(edges.double().cpu().numpy())
            axes.add_collection(LineCollection(lines, colors=BLUE, linewidths=0.7, label="tree"), autolim=False)
        ends = torch.stack([one.latent for one in exits]).numpy()
        for end in ends:
            axes.plot(*np.stack([query.double().numpy(), end]).T, color=BLACK, linewidth=0.8, linestyle="--")
        axes.plot(*ends.T, "X", color=VERMILION, markersize=6, markeredgecolor="white", label="nearest exits")
        axes.plot(*query.tolist(), **QUERY_MARK, zorder=8, label="query")
        plane_axes(axes, plane.window)
    low, high, bottom, top = near.window
    left.plot([low, high, high, low, low], [bottom, bottom, top, top, bottom], color=BLACK, linewidth=0.8)
    left.set_title("decision regions of the plane", fontsize=8)
    right.set_title("magnified", fontsize=8)
    handles = right.get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=7.5, frameon=False)
    return figure


def _draw_classes(axes: Axes, plane: DecisionMap) -> None:
    """Colour each class's region, draw the boundaries between, and write its number into each of its parts."""
    from scipy.ndimage import label

    colours = colormaps["tab10" if plane.n_classes <= 10 else "tab20"]
    levels = np.arange(plane.n_classes + 1) - 0.5
    shades = [colours(number % colours.N) for number in range(plane.n_classes)]
    axes.pcolormesh(
        plane.xs, plane.ys, plane.classes, cmap=_listed(shades), vmin=levels[0], vmax=levels[-1], alpha=_PALE
    )
    for number in range(plane.n_classes):
        mask = (plane.classes == number).astype(np.float64)
        if not 0 < mask.mean() < 1:
            continue
        axes.contour(plane.xs, plane.ys, mask, levels=[0.5], colors=[BLACK], linewidths=0.5)
    for number in range(plane.n_classes):
        labelled: Any = label(plane.classes == number)
        parts, n_parts = labelled
        for part in range(1, n_parts + 1):
            mask = (parts == part).astype(np.float64)
            if mask.mean() < _LEAST_SHARE:
                continue
            row, column = _middle(mask)
            place = plane.xs[column], plane.ys[row]
            text = axes.text(*place, str(number), fontsize=9, ha="center", va="center", zorder=7)
            text.set_path_effects([withStroke(linewidth=2.0, foreground="white")])


def _listed(shades: Sequence[Any]) -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap(list(shades))


def _middle(mask: NDArray[np.float64]) -> tuple[int, int]:
    """Where in a mask the most of it lies around: the deepest point, by how far its edge is."""
    from scipy.ndimage import distance_transform_edt

    depth: NDArray[np.float64] = np.asarray(distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column)
