# SPDX-License-Identifier: MIT
"""Where in the layer the kept units sit: by position and by channel of a convolution."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.drawing import Drawing
from egbas.figures.plot import BAR, Plot, colour_bar, falling
from egbas.figures.style import BLACK, BLUE, Picture, channels_of

FEATURE_MAPS = 3  # axes of a convolution's shape (c, h, w)
_LEFT, _TOP, _SIDE = 12.0, 34.0, 228.0  # of the map: where it begins, and its longer side


def kept_counts(units: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Count the kept units of a convolution by channel and by position.

    Args:
        units: (k,) int64 indices into the flattened layer.
        shape: (c, h, w) of the layer.

    Returns:
        (c,) and (h, w), int64 counts, each summing to k.

    Raises:
        ShapeError: the layer has no feature maps.
    """
    if len(shape) != FEATURE_MAPS:
        raise ShapeError(f"the layer has shape {shape}; counts by channel and position need (c, h, w)")
    kept = torch.zeros(shape, dtype=torch.int64).flatten()
    kept[units.cpu()] = 1
    kept = kept.reshape(shape)
    return kept.sum((1, 2)), kept.sum(0)


def kept_units_drawing(units: Tensor, shape: tuple[int, ...]) -> Drawing:
    """Draw the kept units of a convolution by position (map) and by channel (bars, most first).

    Args:
        units: (k,) int64 indices into the flattened layer.
        shape: (c, h, w) of the layer.
    """
    by_channel, by_position = kept_counts(units, shape)
    drawing = Drawing(width=700, height=300)
    channels, rows, columns = shape
    height, width = _SIDE * rows / max(rows, columns), _SIDE * columns / max(rows, columns)
    most = max(1, int(by_position.max()))
    drawing.words(_LEFT + width / 2, _TOP - 16, f"by position ({rows} x {columns})")
    drawing.picture(_LEFT, _TOP, width, height, _in_blue(by_position.numpy() / most))
    drawing.rectangle(_LEFT, _TOP, width, height, BLACK, is_filled=False)
    area = {"drawing": drawing, "top": _TOP, "height": _SIDE, "counts": True}
    bar = Plot(**area, left=_LEFT + width + 12, width=BAR, x=(0.0, 1.0), y=(0.0, float(most)))
    colour_bar(bar, _in_blue(falling()))
    heights = by_channel.sort(descending=True).values.numpy()
    bars = Plot(
        **area, left=370.0, width=310.0, x=(0.0, float(channels)), y=(0.0, max(1.0, 1.05 * float(heights.max())))
    )
    corners = np.stack([np.repeat(np.arange(channels + 1.0), 2), np.r_[0, np.repeat(heights, 2), 0]], axis=1)
    drawing.area([bars.at(corners)], BLUE)
    drawing.words(bars.left + bars.width / 2, _TOP - 16, f"by channel ({channels}, most first)")
    bars.scale_below()
    bars.scale_beside()
    bars.frame()
    return drawing


def _in_blue(shares: NDArray[np.floating[Any]]) -> Picture:
    """Shares of the most (h, w) in colours from white to blue."""
    return (1 - shares[..., None] * (1 - channels_of(BLUE))).astype(np.float32)
