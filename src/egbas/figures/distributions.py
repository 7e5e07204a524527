# SPDX-License-Identifier: MIT
"""How a number is spread over queries, beside the same for other layers and levels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from egbas.figures.drawing import CIRCLE, Drawing
from egbas.figures.plot import Plot
from egbas.figures.style import BLACK, BLUE, GREY

_MOST_DOTS = 400  # of a row; more are thinned evenly, in order of size
_ROW, _LEFT, _WIDTH = 34, 190.0, 520.0  # pixels
_GOLDEN = 0.6180339887  # heights of the dots: spread evenly, the same in every drawing
_PAD = 0.03  # of the range, beyond it


def distributions_drawing(rows: Sequence[tuple[str, NDArray[np.float64]]], told: str) -> Drawing:
    """Draw a row of dots for each group, with its middle half as a box and its median as a line.

    Args:
        rows: the name of each group and its values, at least one, all finite.
        told: what the values are.
    """
    drawing = Drawing(width=round(_LEFT + _WIDTH) + 30, height=_ROW * len(rows) + 60)
    everything = np.concatenate([values for _, values in rows])
    low, high = float(everything.min()), float(everything.max())
    pad = _PAD * (high - low) or 0.5
    plot = Plot(
        drawing=drawing,
        left=_LEFT,
        top=8.0,
        width=_WIDTH,
        height=float(_ROW * len(rows)),
        x=(low - pad, high + pad),
        y=(0.0, float(len(rows))),
    )
    for row, (name, values) in enumerate(rows):
        middle = len(rows) - row - 0.5  # the first row is the highest
        ordered = np.sort(values)
        dots = ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), _MOST_DOTS)).round().astype(int)]
        heights = middle - 0.32 + 0.64 * (_GOLDEN * np.arange(len(dots)) % 1)
        drawing.marks(plot.at(np.stack([dots, heights], axis=1)), CIRCLE, GREY, width=3.0)
        first, median, third = np.quantile(ordered, [0.25, 0.5, 0.75])
        corners = [[first, middle - 0.4], [third, middle - 0.4], [third, middle + 0.4], [first, middle + 0.4]]
        box = plot.at(np.array([*corners, corners[0]]))
        drawing.lines([box], BLUE, width=1.4)
        drawing.lines([plot.at(np.array([[median, middle - 0.4], [median, middle + 0.4]]))], BLUE, width=3.0)
        y = float(plot.at(np.array([[low, middle]]))[0, 1])
        drawing.words(_LEFT - 8, y, f"{name} ({len(values):,})", colour=BLACK, anchor="end")
    plot.scale_below(told)
    plot.frame()
    return drawing
