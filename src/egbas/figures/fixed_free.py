# SPDX-License-Identifier: MIT
"""What the layer held fixed and what it left free, as images; figure 6 of the paper has the deviation map."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from egbas.evaluation.metrics.spread import PixelSpread
from egbas.figures.drawing import Drawing
from egbas.figures.look import Look
from egbas.figures.plot import BAR, Plot, colour_bar, falling
from egbas.figures.style import coloured

_SIDE, _MARGIN, _BESIDE = 380.0, 10.0, 110.0  # the longer side of a map, the room around it, and that for its bar


def pixel_deviation(images: Tensor) -> Tensor:
    """Standard deviation over samples of each pixel, averaged over channels.

    Jeon et al. 2020, eq. 3 with the square it drops; the population's, so that one sample gives 0.

    Args:
        images: (n, c, h, w).

    Returns:
        (h, w), in pixel units.
    """
    return PixelSpread().add(images).deviation.mean(dim=0).to(images.dtype)


def deviation_drawing(deviation: Tensor) -> Drawing:
    """Draw the standard deviation of each pixel (h, w), as ``pixel_deviation`` gives it, with its colour bar."""
    values = deviation.float().cpu().numpy()
    # A floor keeps rounding noise of a constant image from filling the colour bar.
    largest = max(float(values.max()), 1e-6)
    return _map_drawing(values / largest, largest, "standard deviation (pixel units)")


def freedom_drawing(freedom: Tensor) -> Drawing:
    """Draw the freedom of each pixel, averaged over channels, with its colour bar.

    Args:
        freedom: of a pixel's channels, as ``egbas.Exploration.freedom`` has it; NaN, drawn grey, where a pixel hardly
            changes over the prior.
    """
    return _map_drawing(_freedom_of(freedom), 1.0, "freedom (0 held, 1 as free as the prior)")


def freedom_picture(freedom: Tensor) -> Float[Tensor, "3 h w"]:
    """The freedom of each pixel, averaged over channels, as an image with values in 0..1: a cell beside samples.

    Args:
        freedom: as ``freedom_drawing`` takes it.
    """
    return torch.from_numpy(coloured(_freedom_of(freedom))).permute(2, 0, 1)


def _freedom_of(freedom: Tensor) -> NDArray[np.float32]:
    return Look(tuple(freedom.shape), (0.0, 1.0)).map(freedom).clip(0, 1).numpy()


def _map_drawing(shares: NDArray[np.floating[Any]], largest: float, label: str) -> Drawing:
    """Draw values (h, w), given as shares of the largest that the bar tells."""
    h, w = shares.shape
    height, width = _SIDE * h / max(h, w), _SIDE * w / max(h, w)
    high = max(height, 0.75 * _SIDE)  # of the bar, which has to have room for its label
    drawing = Drawing(width=round(width + 2 * _MARGIN + _BESIDE), height=round(high + 2 * _MARGIN))
    drawing.picture(_MARGIN, _MARGIN, width, height, coloured(shares))
    bar = Plot(
        drawing=drawing, left=2 * _MARGIN + width, top=_MARGIN, width=BAR, height=high, x=(0.0, 1.0), y=(0.0, largest)
    )
    colour_bar(bar, coloured(falling()), label)
    return drawing
