# SPDX-License-Identifier: MIT
"""Layers by levels of one query: a cell for each, with the freedom of its pixels and samples of its region."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from egbas.figures.fixed_free import freedom_picture
from egbas.figures.panel import frame, new_figure, show_picture
from egbas.figures.style import RGB, VERMILION, as_picture

CELL_SAMPLES = 8
_COLUMNS, _ROWS, _LARGE = 4, 3, 2  # of a cell, in samples; the freedom takes two by two
_INCHES = 2.1
_GAP = 0.07


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One layer at one level.

    Attributes:
        images: (n, c, h, w) samples; the first eight are drawn.
        freedom: of each pixel; None: without.
        caption: below the cell.
    """

    images: Tensor
    freedom: Tensor | None
    caption: str


def levels_figure(
    query: Tensor, limits: tuple[float, float], rows: Sequence[tuple[str, Sequence[Cell]]], columns: Sequence[str]
) -> Figure:
    """Draw layers by levels, the query above them.

    Args:
        query: (c, h, w).
        limits: pixel values that are black and white.
        rows: name and cells of each layer, as many cells as there are columns.
        columns: name of each level.
    """
    height, width = query.shape[-2:]
    lines = max(cell.caption.count("\n") for _, cells in rows for cell in cells)
    tall = _INCHES * _ROWS / _COLUMNS * height / width + 0.32 + 0.12 * lines
    figure = new_figure(_INCHES * len(columns) + 0.5, tall * len(rows) + 1.15)
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.0, tall * len(rows)])
    top, below = parts
    show_picture(axes := top.subplots(), query, limits)
    frame(axes, VERMILION, 2.0)
    axes.set_title("query", fontsize=7, color=VERMILION)
    grid = below.subplots(len(rows), len(columns), squeeze=False)
    for line, (name, cells) in zip(grid, rows, strict=True):
        for axes, cell in zip(line, cells, strict=True):
            axes.imshow(_cell(cell, limits), interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_visible(False)
            axes.set_xlabel(cell.caption, fontsize=6.5)
        line[0].set_ylabel(name, fontsize=8)
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize=8)
    return figure


def _cell(cell: Cell, limits: tuple[float, float]) -> NDArray[np.float32]:
    """Freedom and samples of a cell on white: (height, width, 3) in 0..1."""
    h, w = cell.images.shape[-2:]
    gap = max(1, round(_GAP * w))
    canvas = np.ones((_ROWS * (h + gap) - gap, _COLUMNS * (w + gap) - gap, RGB), dtype=np.float32)
    places = [(row, column) for row in range(_ROWS) for column in range(_COLUMNS)]
    if cell.freedom is not None:
        tall, wide = _LARGE * (h + gap) - gap, _LARGE * (w + gap) - gap
        picture = as_picture(freedom_picture(cell.freedom), (0.0, 1.0))
        rows, columns = np.arange(tall) * h // tall, np.arange(wide) * w // wide
        canvas[:tall, :wide] = picture[rows][:, columns]
        places = [(row, column) for row, column in places if row >= _LARGE or column >= _LARGE]
    for image, (row, column) in zip(cell.images[:CELL_SAMPLES], places, strict=False):
        picture = as_picture(image, limits)
        picture = picture if picture.ndim == RGB else picture[:, :, None]
        canvas[row * (h + gap) : row * (h + gap) + h, column * (w + gap) : column * (w + gap) + w] = picture
    return canvas
