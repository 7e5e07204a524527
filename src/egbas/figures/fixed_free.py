# SPDX-License-Identifier: MIT
"""What the layer held fixed and what it left free, as images; figure 6 of the paper has the deviation map."""

import numpy as np
import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from egbas.evaluation.metrics.spread import PixelSpread
from egbas.figures.style import DEVIATION_MAP, GREY, RGB, as_images, new_figure


def pixel_deviation(images: Tensor) -> Tensor:
    """Standard deviation over samples of each pixel, averaged over channels.

    Jeon et al. 2020, eq. 3 with the square it drops; the population's, so that one sample gives 0.

    Args:
        images: (n, c, h, w).

    Returns:
        (h, w), in pixel units.
    """
    return PixelSpread().add(images).deviation.mean(dim=0).to(images.dtype)


def deviation_figure(deviation: Tensor) -> Figure:
    """Draw the standard deviation of each pixel (h, w), as ``pixel_deviation`` gives it, with its colour bar."""
    figure = new_figure(3.6, 3.0)
    axes = figure.subplots()
    values = deviation.float().cpu().numpy()
    # A floor keeps rounding noise of a constant image from filling the colour bar.
    largest = max(float(values.max()), 1e-6)
    drawn = axes.imshow(values, cmap=DEVIATION_MAP, vmin=0, vmax=largest, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.03)
    bar.ax.tick_params(labelsize=7)
    bar.set_label("standard deviation (pixel units)", fontsize=7)
    return figure


def freedom_figure(freedom: Tensor) -> Figure:
    """Draw the freedom of each pixel, averaged over channels, with its colour bar.

    Args:
        freedom: of a pixel's channels, as ``egbas.Exploration.freedom`` has it; NaN, drawn grey, where a pixel hardly
            changes over the prior.
    """
    figure = new_figure(3.6, 3.0)
    axes = figure.subplots()
    values, colours = _freedom_of(freedom)
    drawn = axes.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.03, extend="max")
    bar.ax.tick_params(labelsize=7)
    bar.set_label("freedom (0 held, 1 as free as the prior)", fontsize=7)
    return figure


def freedom_picture(freedom: Tensor) -> Float[Tensor, "3 h w"]:
    """The freedom of each pixel, averaged over channels, as an image with values in 0..1: a cell beside samples.

    Args:
        freedom: as ``freedom_figure`` takes it.
    """
    values, colours = _freedom_of(freedom)
    drawn = colours(np.ma.masked_invalid(values.clip(0, 1)))[..., :RGB]
    return torch.from_numpy(drawn).permute(2, 0, 1).float()


def _freedom_of(freedom: Tensor) -> tuple[NDArray[np.float32], Colormap]:
    values = as_images(freedom.float().cpu()[None])[0].nanmean(dim=0).numpy()
    return values, colormaps[DEVIATION_MAP].with_extremes(bad=GREY)
