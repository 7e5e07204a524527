# SPDX-License-Identifier: MIT
"""What the layer held fixed and what it left free, as images; figure 6 of the paper has the deviation map."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from egbas.figures.style import DEVIATION_MAP, new_figure, pixel_range, show_picture


def pixel_deviation(images: Tensor) -> Tensor:
    """Standard deviation over samples of each pixel, averaged over channels.

    Jeon et al. 2020, eq. 3 with the square it drops; the population's, so that one sample gives 0.

    Args:
        images: (n, c, h, w).

    Returns:
        (h, w), in pixel units.
    """
    return images.detach().double().std(dim=0, correction=0).mean(dim=0).to(images.dtype)


def deviation_figure(images: Tensor) -> Figure:
    """Draw the per-pixel standard deviation of samples (n, c, h, w) with its colour bar."""
    figure = new_figure(3.6, 3.0)
    _draw_deviation(figure, figure.subplots(), images)
    return figure


def fixed_free_figure(query: Tensor, masked: Tensor, images: Tensor) -> Figure:
    """Draw the query, the image of the supporting units alone, the mean of the samples and their deviation.

    Args:
        query: (c, h, w).
        masked: (c, h, w), the image with all other units of the layer at zero.
        images: (n, c, h, w), the samples.
    """
    ratio = query.shape[1] / query.shape[2]
    figure = new_figure(8.6, 2.0 * ratio + 0.45)
    panels = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.1])
    limits = pixel_range(images)
    show_picture(panels[0], query, limits, "query")
    show_picture(panels[1], masked, limits, "supporting units alone")
    show_picture(panels[2], images.mean(0), limits, f"mean of {len(images)} samples")
    _draw_deviation(figure, panels[3], images)
    panels[3].set_title("deviation per pixel", fontsize=8)
    return figure


def _draw_deviation(figure: Figure, axes: Axes, images: Tensor) -> None:
    deviation = pixel_deviation(images).float().cpu().numpy()
    # A floor keeps rounding noise of a constant image from filling the colour bar.
    drawn = axes.imshow(
        deviation, cmap=DEVIATION_MAP, vmin=0, vmax=max(float(deviation.max()), 1e-6), interpolation="nearest"
    )
    axes.set_xticks([])
    axes.set_yticks([])
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.03)
    bar.ax.tick_params(labelsize=7)
    bar.set_label("standard deviation (pixel units)", fontsize=7)
