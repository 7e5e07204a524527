# SPDX-License-Identifier: MIT
"""The samples as a grid of images, the query first; figure 3b of the paper."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.fixed_free import freedom_picture
from egbas.figures.style import BLACK, RGB, VERMILION, as_picture, pixel_range, pixels_of

CELL = 130  # pixels of the longer side of an image in the sheet, roughly
GAP = 0.09  # between images, as a share of their width
_MARGIN, _ABOVE, _WORDS, _LEAST = 8, 38, 17, 80  # pixels: around the sheet, above it, of its words, of a column

NEAREST, BOX = Image.Resampling.NEAREST, Image.Resampling.BOX


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


def samples_sheet(
    images: Tensor,
    columns: int = 8,
    *,
    freedom: Tensor | None = None,
    limits: tuple[float, float] | None = None,
) -> Image.Image:
    """Draw images in a grid, the first one marked as the query.

    Each pixel becomes a square of pixels; large images are shown smaller.

    Args:
        images: (k, c, h, w), the query first.
        columns: of the grid.
        freedom: of each pixel, drawn beside the query; None: without.
        limits: pixel values that are black and white; None: as the images tell.

    Raises:
        ShapeError: there is no image, or they are not (k, c, h, w).
    """
    if images.ndim != 4 or not len(images):
        raise ShapeError(f"images have shape {tuple(images.shape)}; expected (k, c, h, w) with k >= 1")
    limits = pixel_range(images) if limits is None else limits
    cells = [as_picture(image, limits) for image in images]
    if freedom is not None:
        cells = [cells[0], as_picture(freedom_picture(freedom), (0.0, 1.0)), *cells[1:]][: max(len(cells), 2)]
    columns = min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    size = width, height = _shown_size(*images.shape[2:])
    gap = max(2, round(GAP * width))
    across, down = max(width + gap, _LEAST), height + gap
    sheet = Image.new("RGB", (2 * _MARGIN + columns * across - gap, _ABOVE + _MARGIN + rows * down - gap), "white")
    for index, cell in enumerate(cells):
        place = _MARGIN + index % columns * across, _ABOVE + index // columns * down
        sheet.paste(pixels_of(cell).resize(size, NEAREST if width >= cell.shape[1] else BOX), place)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_WORDS)
    pen.rectangle((_MARGIN - 4, _ABOVE - 4, _MARGIN + width + 3, _ABOVE + height + 3), outline=VERMILION, width=5)
    pen.text((_MARGIN + width / 2, _ABOVE - 12), "query", fill=VERMILION, font=font, anchor="ms")
    if freedom is not None:
        pen.text((_MARGIN + across + width / 2, _ABOVE - 12), "freedom", fill=BLACK, font=font, anchor="ms")
    return sheet


def _shown_size(height: int, width: int) -> tuple[int, int]:
    """Width and height of an image in the sheet: a multiple of its own or, where it is large, ``CELL`` at most."""
    longer = max(height, width)
    if longer <= CELL:
        return width * round(CELL / longer), height * round(CELL / longer)
    return max(1, round(width * CELL / longer)), max(1, round(height * CELL / longer))


def mosaic(images: Tensor, rows: int, columns: int, gap: int) -> NDArray[np.float32]:
    """Lay images (k, c, h, w) out on white, row by row and ``gap`` pixels apart: (height, width, 3) in 0..1."""
    limits = pixel_range(images)
    h, w = images.shape[2:]
    canvas = np.ones((rows * (h + gap) - gap, columns * (w + gap) - gap, RGB), dtype=np.float32)
    for index, image in enumerate(images):
        top, left = index // columns * (h + gap), index % columns * (w + gap)
        picture = as_picture(image, limits)
        canvas[top : top + h, left : left + w] = picture if picture.ndim == RGB else picture[:, :, None]
    return canvas
