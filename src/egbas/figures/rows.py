# SPDX-License-Identifier: MIT
"""A row for each query: its image, samples of the eps-L2 ball, samples of E-GBAS; figure 7 of the paper."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.panel import new_figure
from egbas.figures.samples import GAP, mosaic
from egbas.figures.style import BLACK, VERMILION, pixel_range


def rows_figure(queries: Tensor, samples: Mapping[str, Sequence[Tensor | None]], labels: Sequence[str]) -> Figure:
    """Draw one row of images for each query, one block of columns for each method.

    Args:
        queries: (q, c, h, w).
        samples: name of each method and, for each query, its images (k, c, h, w), the same k for all; None where
            the method has no samples: left white.
        labels: of the rows.

    Raises:
        ShapeError: the numbers of queries, labels and rows of samples differ, or a method has no samples at all.
    """
    counts = {len(queries), len(labels), *map(len, samples.values())}
    if len(counts) != 1 or any(all(images is None for images in rows) for rows in samples.values()):
        raise ShapeError(f"got {sorted(counts)} queries, labels and rows of samples; expected equal numbers, not empty")
    low, high = pixel_range(queries)
    blocks = {"query": [image[None] for image in queries], **samples}
    columns = [max(len(images) for images in rows if images is not None) for rows in blocks.values()]
    height, width = queries.shape[2:]
    gap = max(1, round(GAP * width))
    space = 4 * gap  # between the blocks
    tiles, starts = [], []
    for rows, k in zip(blocks.values(), columns, strict=True):
        white = torch.full((k, *queries.shape[1:]), high, dtype=torch.float32)
        images = torch.cat([white if given is None else given for given in rows])
        block = mosaic(images.clamp(low, high), len(queries), k, gap)
        starts.append(sum(other.shape[1] for other in tiles))
        tiles += [block, np.ones((len(block), space, 3), dtype=np.float32)]
    picture = np.concatenate(tiles[:-1], axis=1)
    figure = new_figure(7.2, 6.6 * picture.shape[0] / picture.shape[1] + 0.3)
    axes = figure.subplots()
    axes.imshow(picture, interpolation="nearest")
    for name, start, k in zip(blocks, starts, columns, strict=True):
        middle = start + k * (width + gap) / 2
        axes.text(middle, -2 * gap, name, fontsize=8, color=VERMILION if name == "query" else BLACK, ha="center")
    axes.set_yticks([row * (height + gap) + height / 2 for row in range(len(queries))], labels, fontsize=7)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure
