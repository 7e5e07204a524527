# SPDX-License-Identifier: MIT
"""The query and a row of samples for each method; figure 7 of the paper."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.panel import frame, new_figure, show_picture
from egbas.figures.style import VERMILION, pixel_range

CELL = 0.8  # inches
LABEL_WIDTH = 1.3


def comparison_figure(query: Tensor, rows: Mapping[str, Tensor], title: str = "") -> Figure:
    """Draw one row of images for each method, the query framed in front of each.

    All rows share one scale from black to white. What the figure says of a method depends on which samples are
    shown: choose them by the same rule for all, as ``egbas.evaluation.comparison.pictured`` does.

    Args:
        query: (c, h, w).
        rows: label of each row and its images (k, c, h, w), top to bottom; rows may differ in length.
        title: above the rows.

    Raises:
        ShapeError: there is no row, or its images do not have the query's shape.
    """
    wrong = [images.shape for images in rows.values() if images.shape[1:] != query.shape or not len(images)]
    if not rows or wrong or query.ndim != 3:
        got = f"rows of shape {tuple(wrong[0])}" if wrong else f"{len(rows)} rows"
        raise ShapeError(f"got {got} beside a query {tuple(query.shape)}; expected (k, c, h, w) beside (c, h, w)")
    columns = 1 + max(map(len, rows.values()))
    ratio = query.shape[1] / query.shape[2]
    height = max(len(rows) * CELL * ratio, 0.6) + (0.3 if title else 0.1)
    figure = new_figure(columns * CELL + LABEL_WIDTH, height)
    limits = _shared_range(query, rows)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, (label, images) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(line, [query, *images], strict=False):
            axes.set_axis_on()
            show_picture(axes, image, limits)
            frame(axes, "none", 0.0)
        frame(line[0], VERMILION, 2.5)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8, labelpad=8)
    grid[0, 0].set_title("query", fontsize=8, color=VERMILION, pad=3)
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


def _shared_range(query: Tensor, rows: Mapping[str, Tensor]) -> tuple[float, float]:
    ranges = [pixel_range(images) for images in (query[None], *rows.values())]
    return min(low for low, _ in ranges), max(high for _, high in ranges)
