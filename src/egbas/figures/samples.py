# SPDX-License-Identifier: MIT
"""The samples as a grid of images, the query first; figure 3b of the paper."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.fixed_free import freedom_picture
from egbas.figures.style import BLACK, RGB, VERMILION, as_picture, new_figure, pixel_range

CELL = 0.9  # inches
GAP = 0.09  # between images, as a share of their width


def choose_spread(latents: Tensor, count: int) -> list[int]:
    """Choose nodes spread over the tree, in farthest-point order from the query.

    Each next node is the one farthest from all chosen so far, so that the first few already span the region.

    Args:
        latents: (n, d), the query first.
        count: how many to choose; fewer come back where the tree is smaller.

    Returns:
        Indices into ``latents``, starting with 0.
    """
    points = latents.detach().double().cpu()
    chosen = [0]
    distance = (points - points[0]).norm(dim=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (points - points[chosen[-1]]).norm(dim=1))
    return chosen


def choose_even(n_samples: int, count: int) -> list[int]:
    """Choose samples at even distances in the order in which they were drawn: typical ones, from all of the drawing.

    Args:
        n_samples: how many there are.
        count: how many to choose; all where there are fewer.
    """
    count = min(count, n_samples)
    return [i * n_samples // count for i in range(count)]


def samples_figure(images: Tensor, columns: int = 8, *, freedom: Tensor | None = None) -> Figure:
    """Draw images in a grid, the first one marked as the query.

    Args:
        images: (k, c, h, w), the query first.
        freedom: of each pixel, drawn beside the query; None: without.
        columns: of the grid.

    Raises:
        ShapeError: there is no image, or they are not (k, c, h, w).
    """
    if images.ndim != 4 or not len(images):
        raise ShapeError(f"images have shape {tuple(images.shape)}; expected (k, c, h, w) with k >= 1")
    cells = [as_picture(image, pixel_range(images)) for image in images]
    if freedom is not None:
        cells = [cells[0], as_picture(freedom_picture(freedom), (0.0, 1.0)), *cells[1:]][: max(len(cells), 2)]
    columns = min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    height, width = images.shape[2:]
    gap = max(1, round(GAP * width))
    figure = new_figure(max(columns * CELL, 1.2), max(rows * CELL * height / width, 0.6) + 0.25)
    axes = figure.subplots()
    # One picture of all images: a panel for each would take fifty times as long to draw.
    axes.imshow(_laid_out(cells, rows, columns, gap), interpolation="nearest")
    axes.set_axis_off()
    border = {"linewidth": 2.5, "edgecolor": VERMILION, "facecolor": "none", "clip_on": False}
    axes.add_patch(Rectangle((-0.5, -0.5), width, height, **border))
    axes.text(width / 2, -1.5 * gap, "query", fontsize=8, color=VERMILION, ha="center", va="bottom")
    if freedom is not None:
        axes.text(width * 1.5 + gap, -1.5 * gap, "freedom", fontsize=8, color=BLACK, ha="center", va="bottom")
    return figure


def mosaic(images: Tensor, rows: int, columns: int, gap: int) -> NDArray[np.float32]:
    """Lay images (k, c, h, w) out on white, row by row and ``gap`` pixels apart: (height, width, 3) in 0..1."""
    limits = pixel_range(images)
    return _laid_out([as_picture(image, limits) for image in images], rows, columns, gap)


def _laid_out(pictures: Sequence[NDArray[np.float32]], rows: int, columns: int, gap: int) -> NDArray[np.float32]:
    h, w = pictures[0].shape[:2]
    canvas = np.ones((rows * (h + gap) - gap, columns * (w + gap) - gap, RGB), dtype=np.float32)
    for index, picture in enumerate(pictures):
        top, left = index // columns * (h + gap), index % columns * (w + gap)
        canvas[top : top + h, left : left + w] = picture if picture.ndim == RGB else picture[:, :, None]
    return canvas
