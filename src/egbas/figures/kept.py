# SPDX-License-Identifier: MIT
"""Where in the layer the kept units sit: by position and by channel of a convolution."""

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from egbas.errors import ShapeError
from egbas.figures.style import BLUE, new_figure

FEATURE_MAPS = 3  # axes of a convolution's shape (c, h, w)


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


def kept_units_figure(units: Tensor, shape: tuple[int, ...]) -> Figure:
    """Draw the kept units of a convolution by position (map) and by channel (bars, most first).

    Args:
        units: (k,) int64 indices into the flattened layer.
        shape: (c, h, w) of the layer.
    """
    by_channel, by_position = kept_counts(units, shape)
    figure = new_figure(4.8, 2.2)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.5])
    drawn = left.imshow(by_position.numpy(), cmap="cividis", vmin=0, interpolation="nearest")
    left.set_title(f"by position ({shape[1]} x {shape[2]})", fontsize=8)
    left.set_xticks([])
    left.set_yticks([])
    figure.colorbar(drawn, ax=left, fraction=0.046, ticks=MaxNLocator(integer=True, nbins=5)).ax.tick_params(
        labelsize=7
    )
    right.bar(range(shape[0]), by_channel.sort(descending=True).values.numpy(), color=BLUE, width=1.0)
    right.set_title(f"by channel ({shape[0]}, most first)", fontsize=8)
    right.tick_params(labelsize=7)
    right.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    return figure
