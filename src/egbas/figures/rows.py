# SPDX-License-Identifier: MIT
"""A row for each query: its image, samples of the eps-L2 ball, samples of E-GBAS; figure 7 of the paper."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.samples import GAP, mosaic
from egbas.figures.style import VERMILION, new_figure, pixel_range

CELL = 0.36  # inches


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
    if len(counts) != 1 or any(all(part is None for part in rows) for rows in samples.values()):
        raise ShapeError(f"got {sorted(counts)} queries, labels and rows of samples; expected equal numbers, not empty")
    low, high = pixel_range(queries)
    blocks = {"query": [image[None] for image in queries], **samples}
    columns = [max(len(part) for part in rows if part is not None) for rows in blocks.values()]
    height, width = queries.shape[2:]
    figure = new_figure(CELL * (sum(columns) + 1), CELL * len(queries) * height / width + 0.4)
    panels = figure.subplots(1, len(blocks), width_ratios=columns, squeeze=False)[0]
    gap = max(1, round(GAP * width))
    for axes, (name, rows), k in zip(panels, blocks.items(), columns, strict=True):
        white = torch.full((k, *queries.shape[1:]), high)
        images = torch.cat([white if part is None else part for part in rows])
        axes.imshow(mosaic(images.clamp(low, high), len(queries), k, gap), interpolation="nearest")
        axes.set_title(name, fontsize=8, color=VERMILION if name == "query" else "black")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    panels[0].set_yticks([row * (height + gap) + height / 2 for row in range(len(queries))], labels, fontsize=7)
    panels[0].tick_params(length=0)
    return figure
