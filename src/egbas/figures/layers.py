# SPDX-License-Identifier: MIT
"""A row for each layer: what it leaves free, as deviation per pixel, and samples; figure 6 of the paper."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.panel import new_figure, show_picture
from egbas.figures.samples import GAP, mosaic
from egbas.figures.style import DEVIATION_MAP, VERMILION, pixel_range


def layers_figure(query: Tensor, rows: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """Draw the query, the deviation of the samples per pixel, and some samples, one row for each layer.

    The deviations have one colour scale, so that rows can be compared.

    Args:
        query: (c, h, w).
        rows: for each label the deviation of each pixel (h, w), and samples to show (k, c, h, w); rows of fewer
            samples than another, or of none, end in blanks.

    Raises:
        ShapeError: there is no row.
    """
    if not rows:
        raise ShapeError("got no rows; expected the deviation and samples of at least one layer")
    k = max(1, *(len(shown) for _, shown in rows.values()))
    maps = {label: deviation.float().cpu().numpy() for label, (deviation, _) in rows.items()}
    largest = max([*(float(values.max()) for values in maps.values()), 1e-6])
    limits = pixel_range(query[None])
    gap = max(1, round(GAP * query.shape[2]))
    ratio = query.shape[1] / query.shape[2]
    figure = new_figure(8.6, 0.86 * ratio * len(rows) + 0.75)
    panels = figure.subplots(len(rows), 3, width_ratios=[1, 1, k * (1 + GAP)], squeeze=False)
    drawn = None
    for line, (label, (_, shown)) in zip(panels, rows.items(), strict=True):
        show_picture(line[0], query, limits, "")
        line[0].set_ylabel(label, fontsize=8)
        drawn = line[1].imshow(maps[label], cmap=DEVIATION_MAP, vmin=0, vmax=largest, interpolation="nearest")
        if len(shown):
            line[2].imshow(mosaic(shown.clamp(*limits), 1, k, gap), interpolation="nearest")
        for axes in line[1:]:
            axes.set_axis_off()
    for axes, title in zip(panels[0], ("query", "deviation", "samples"), strict=True):
        axes.set_title(title, fontsize=8, color=VERMILION if title == "query" else "black")
    assert drawn is not None
    # In axes of its own: one that takes its room from the column would shift the column's pictures.
    below = panels[-1, 1].inset_axes((0.0, -0.16, 1.0, 0.07))
    bar = figure.colorbar(drawn, cax=below, orientation="horizontal")
    bar.ax.tick_params(labelsize=6)
    bar.set_label("pixel units", fontsize=6)
    return figure
