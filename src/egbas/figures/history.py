# SPDX-License-Identifier: MIT
"""How BerOpt went: its loss and the size of the kept set, step by step."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from egbas.figures.drawing import Drawing
from egbas.figures.plot import Plot, Range
from egbas.figures.style import BLUE, VERMILION

_PAD = 0.04  # of the range of what is drawn, beyond it


def history_drawing(steps: Sequence[int], loss: Sequence[float], set_size: Sequence[float]) -> Drawing:
    """Draw the loss and the number of kept units over the steps of BerOpt.

    Args:
        steps: at which the two were recorded.
        loss: of eq. 1 in relative form, same length.
        set_size: units with theta above the threshold, same length; empty where it was not recorded.
    """
    drawing = Drawing(width=700, height=340)
    points = np.stack([steps, loss], axis=1).astype(np.float64)
    area = {"drawing": drawing, "left": 70.0, "top": 12.0, "width": 560.0, "height": 270.0, "x": _padded(points[:, 0])}
    losses = Plot(**area, y=_padded(points[:, 1]))
    losses.scale_below("step")
    losses.scale_beside("loss (solid)", colour=BLUE)
    drawing.lines([losses.at(points)], BLUE, width=1.6)
    if len(set_size):
        sizes = Plot(**area, y=(0.0, max(1.0, *set_size) * (1 + _PAD)))
        sizes.scale_beside("kept units (dashed)", is_right=True, colour=VERMILION)
        drawing.lines([sizes.at(np.stack([steps, set_size], axis=1))], VERMILION, width=1.6, dash="6 3")
    losses.frame()
    return drawing


def _padded(values: NDArray[np.float64]) -> Range:
    """A range somewhat wider than the values, and never empty."""
    low, high = float(values.min()), float(values.max())
    pad = _PAD * (high - low) or 0.5
    return low - pad, high + pad
