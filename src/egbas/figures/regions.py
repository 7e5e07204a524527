# SPDX-License-Identifier: MIT
"""The region of a query in a 2-D latent plane, and what E-GBAS and the balls draw; figs. 1, 3, 4 and 5 of the paper.

Samples are chosen and their images made by the caller; each figure says with a number which point an image is of.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from torch import Tensor

from egbas.figures.panel import new_figure
from egbas.figures.plane import PlaneMap, Window
from egbas.figures.samples import GAP, mosaic
from egbas.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION
from egbas.samplers.gbrrt import OUTSIDE, TOO_CLOSE

REGION_ALPHA = 0.4
QUERY_MARK: dict[str, Any] = {
    "linestyle": "none",
    "marker": "*",
    "color": "white",
    "markersize": 12,
    "markeredgecolor": BLACK,
    "markeredgewidth": 1.1,
}
_ON_TOP = 8  # of everything else in a panel
_BALLS = (
    ("smallest distance", BLUE, ":"),
    ("mean of the two: eps-L2", BLACK, "-"),
    ("largest distance", VERMILION, "--"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Samples of one method in the plane.

    Attributes:
        latents: (n, 2), all that are drawn as points.
        pictured: indices of those whose images are shown.
        images: (k, c, h, w) of the pictured.
        share: of all samples that lie in the region, 0..1.
    """

    latents: Float[Tensor, "n d"]
    pictured: Sequence[int]
    images: Float[Tensor, "k c h w"]
    share: float


def region_and_ball_figure(plane: PlaneMap, query: Tensor, epsilon: float, ours: Drawn, ball: Drawn) -> Figure:
    """Draw the region beside the eps-L2 ball around the query, with numbered samples of both; figure 1.

    Args:
        plane: of the window to draw.
        query: (2,).
        epsilon: radius of the ball, latent units.
        ours: samples of E-GBAS; only the pictured ones are drawn.
        ball: samples of the ball, likewise.
    """
    figure = new_figure(7.2, 3.9)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.05], squeeze=False)[0]
    axes = left.subplots()
    draw_region(axes, plane)
    _draw_circle(axes, query, epsilon, color=VERMILION, linestyle="--", label="eps-L2 ball")
    panels = right.subplots(2, 1)
    kinds = ((ours, BLUE, "o", "E-GBAS: in the region"), (ball, VERMILION, "X", "eps-L2: in the ball around the query"))
    for panel, (drawn, colour, marker, title) in zip(panels, kinds, strict=True):
        points, label = drawn.latents[list(drawn.pictured)].numpy(), title.partition(":")[0] + " sample"
        style = {"color": colour, "markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.4, "label": label}
        axes.plot(*points.T, marker, **style)
        _number(axes, points, colour)
        show_images(panel, drawn.images, columns=math.ceil(len(drawn.images) / 2), colour=colour)
        panel.set_title(title, fontsize=8, color=colour)
    axes.plot(*query, **QUERY_MARK, zorder=_ON_TOP, label="query")
    left.legend(handles=_handles(axes), loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    return figure


def tree_figure(
    plane: PlaneMap, latents: Tensor, parents: Tensor, chosen: Sequence[int], images: Float[Tensor, "k c h w"]
) -> Figure:
    """Draw the tree with the trajectories to some nodes, and their images; figure 3.

    Args:
        plane: of the window to draw.
        latents: (n, 2), the query first.
        parents: (n,), -1 for the query.
        chosen: the nodes whose images are shown.
        images: of these nodes.
    """
    figure = new_figure(7.2, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    draw_region(left, plane)
    points, above = latents.double().numpy(), parents.tolist()
    edges = np.stack([points[1:], points[above[1:]]], axis=1)
    left.add_collection(
        LineCollection(list(edges), colors=BLUE, linewidths=0.9, capstyle="round", snap=False, label="tree")
    )
    paths = [points[trajectory(above, node)] for node in chosen]
    trunk = {"colors": VERMILION, "linewidths": 1.4, "label": "trajectory to a numbered node"}
    left.add_collection(LineCollection(paths, **trunk))
    left.plot(*points[list(chosen)].T, "o", color=VERMILION, markersize=3.5, zorder=5)
    _number(left, points[list(chosen)], BLACK)
    left.plot(*points[0], **QUERY_MARK, zorder=_ON_TOP, label="query")
    left.set_title(f"(a) tree of {len(points)} nodes", fontsize=8)
    right.set_title(f"(b) images of {len(chosen)} nodes, uniformly chosen", fontsize=8)
    show_images(right, images, columns=math.ceil(math.sqrt(len(images))), colour=VERMILION)
    figure.legend(loc="outside lower center", ncols=4, fontsize=7.5, frameon=False, handles=_handles(left))
    return figure


def balls_figure(
    plane: PlaneMap, latents: Tensor, rejected: Tensor, reason: Tensor, radii: tuple[float, float, float]
) -> Figure:
    """Draw accepted, rejected and mean points, and the three balls around the mean; figure 4.

    Args:
        plane: of the window to draw.
        latents: (n, 2), accepted, the query first.
        rejected: (r, 2).
        reason: (r,), 1 outside the region, 2 too close.
        radii: smallest, mean of the two, largest distance of a point rejected outside the region from the mean.
    """
    figure = new_figure(7.2, 4.3)
    panels = figure.subplots(1, 2)
    points, mean = latents.double().numpy(), latents.double().mean(0).numpy()
    for axes, title in zip(panels, ("(a) what the tree tried", "(b) balls around the mean"), strict=True):
        axes.set_title(title, fontsize=8)
        draw_region(axes, plane)
        for code, marker, colour, label in (
            (OUTSIDE, "x", VERMILION, "rejected: outside"),
            (TOO_CLOSE, "+", GREEN, "rejected: too close"),
        ):
            some = rejected[reason == code].numpy()
            if code == OUTSIDE or axes is panels[0]:
                axes.plot(*some.T, marker, color=colour, markersize=3, markeredgewidth=0.6, label=label)
        if axes is panels[0]:
            axes.plot(*points[1:].T, "o", color=BLUE, markersize=1.8, label="accepted")
        axes.plot(*points[0], **QUERY_MARK, zorder=_ON_TOP, label="query")
        axes.plot(
            *mean, "D", color=BLACK, markeredgecolor="white", markersize=6, zorder=_ON_TOP, label="mean of the accepted"
        )
    for radius, (label, colour, style) in zip(radii, _BALLS, strict=True):
        text = f"{label} ({radius:.3f})"
        _draw_circle(panels[1], mean, radius, color=colour, linestyle=style, label=text)
    handles = {handle.get_label(): handle for axes in panels for handle in _handles(axes)}
    figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    return figure


def methods_figure(plane: PlaneMap, query: Tensor, methods: Mapping[str, Drawn]) -> Figure:
    """Draw the samples of every method over the region, side by side, some of their images below; figure 5.

    Args:
        plane: of the window to draw.
        query: (2,).
        methods: name and samples of each.
    """
    figure = new_figure(1.9 * len(methods), 3.5)
    panels = figure.subplots(2, len(methods), squeeze=False, height_ratios=[1.9, 1])
    colours = (BLUE, VERMILION, GREEN, BLACK)
    for number, (name, drawn) in enumerate(methods.items()):
        above, below = panels[:, number]
        colour = colours[number % len(colours)]
        draw_region(above, plane)
        above.plot(*drawn.latents.numpy().T, "o", color=colour, markersize=1.3)
        above.plot(*query, **QUERY_MARK, zorder=_ON_TOP)
        above.set_title(f"({'abcdefgh'[number]}) {name}:\n{drawn.share:.0%} in the region", fontsize=8)
        if number:
            above.set_ylabel("")
            above.tick_params(labelleft=False)
        show_images(below, drawn.images, columns=math.ceil(len(drawn.images) / 2), colour=None)
    return figure


def fill_region(axes: Axes, xs: NDArray[np.float64], ys: NDArray[np.float64], margin: NDArray[np.float64]) -> None:
    """Fill where the margin (r, r), rows along y, is not negative."""
    if (margin >= 0).any():
        axes.contourf(xs, ys, margin, levels=[0, np.inf], colors=[ORANGE], alpha=REGION_ALPHA)


def plane_axes(axes: Axes, window: Window) -> None:
    """Give a panel of the latent plane its window and labels."""
    axes.set(xlim=window[:2], ylim=window[2:], aspect="equal")
    axes.set_xlabel("latent coordinate 1", fontsize=7.5)
    axes.set_ylabel("latent coordinate 2", fontsize=7.5)
    axes.tick_params(labelsize=7)
    axes.locator_params(nbins=4)


def draw_region(axes: Axes, plane: PlaneMap) -> None:
    """Draw the region with its rim, in a panel of the plane."""
    plane_axes(axes, plane.window)
    fill_region(axes, plane.xs, plane.ys, plane.margin)
    if plane.inside.any() and not plane.inside.all():
        axes.contour(plane.xs, plane.ys, plane.margin, levels=[0], colors=[GREY], linewidths=0.8)


def trajectory(parents: Sequence[int], node: int) -> list[int]:
    """The nodes from one up to the root, both included."""
    path = [node]
    while parents[path[-1]] >= 0:
        path.append(parents[path[-1]])
    return path


def show_images(axes: Axes, images: Tensor, *, columns: int, colour: str | None) -> None:
    """Show images (k, c, h, w) in a grid, numbered from 1 in a colour; without numbers for None."""
    rows = math.ceil(len(images) / columns)
    height, width = images.shape[2:]
    gap = max(1, round(GAP * width))
    axes.imshow(mosaic(images, rows, columns, gap), interpolation="nearest")
    axes.set_axis_off()
    for index in range(len(images) if colour else 0):
        row, column = divmod(index, columns)
        corner = (column * (width + gap) + 0.5, row * (height + gap) + 0.5)
        box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
        axes.text(*corner, str(index + 1), fontsize=7, color=colour, ha="left", va="top", bbox=box)


def _number(axes: Axes, points: NDArray[np.floating], colour: str) -> None:
    """Number points from 1, beside them."""
    for number, point in enumerate(points, 1):
        text = axes.annotate(str(number), point, xytext=(3, 3), textcoords="offset points", fontsize=7.5, color=colour)
        text.set(zorder=_ON_TOP + 1, path_effects=[withStroke(linewidth=1.8, foreground="white")])


def _handles(axes: Axes) -> list[Any]:
    region = Patch(facecolor=ORANGE, alpha=REGION_ALPHA, label="region")
    return [region, *axes.get_legend_handles_labels()[0]]


def _draw_circle(axes: Axes, centre: Tensor | NDArray[np.float64], radius: float, **style: Any) -> None:
    """Draw a circle; the legend shows a line of its style."""
    label = style.pop("label")
    axes.add_patch(Circle((float(centre[0]), float(centre[1])), radius, fill=False, linewidth=1.4, **style))
    axes.plot([], [], linewidth=1.4, label=label, **style)
