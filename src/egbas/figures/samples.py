# SPDX-License-Identifier: MIT
"""The samples as a grid of images, the query first; figure 3b of the paper."""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.style import VERMILION, frame, new_figure, pixel_range, show_picture

CELL = 0.9  # inches


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


def samples_figure(images: Tensor, columns: int = 8) -> Figure:
    """Draw images in a grid, the first one marked as the query.

    Args:
        images: (k, c, h, w), the query first.
        columns: of the grid.

    Raises:
        ShapeError: there is no image, or they are not (k, c, h, w).
    """
    if images.ndim != 4 or not len(images):
        raise ShapeError(f"images have shape {tuple(images.shape)}; expected (k, c, h, w) with k >= 1")
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    ratio = images.shape[2] / images.shape[3]
    figure = new_figure(max(columns * CELL, 1.2), max(rows * CELL * ratio, 0.6) + 0.25)
    limits = pixel_range(images)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(images) :]:
        axes.set_axis_off()
    for axes, image in zip(grid.flat, images, strict=False):
        show_picture(axes, image, limits)
        frame(axes, "none", 0.0)
    grid[0, 0].set_title("query", fontsize=8, color=VERMILION, pad=3)
    frame(grid[0, 0], VERMILION, 2.5)
    return figure
