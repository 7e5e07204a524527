# SPDX-License-Identifier: MIT
"""What all figures share: colours that the colour-blind and a grey printer tell apart, images as pictures."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

# Okabe and Ito 2008; each has its own lightness, so that they differ in print too.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREY = "#8C8C8C"

DEVIATION_MAP = "magma"  # lightness rises with the value, in colour and in grey

RGB = 3


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches, outside pyplot."""
    return Figure(figsize=(width, height), layout="constrained", dpi=150)


def pixel_range(images: Tensor) -> tuple[float, float]:
    """Find the pixel values to draw black and white.

    Generators end in a Tanh (-1..1) or a Sigmoid (0..1); anything wider is stretched over its own range.
    """
    return range_of(float(images.min()), float(images.max()))


def range_of(low: float, high: float) -> tuple[float, float]:
    """As ``pixel_range``, of the smallest and the largest value."""
    tiny = 1e-3
    if low >= -tiny and high <= 1 + tiny:
        return 0.0, 1.0
    if low >= -1 - tiny and high <= 1 + tiny:
        return -1.0, 1.0
    return low, high


def as_images(outputs: Tensor) -> Tensor:
    """Read what a network gives (n, ...) as images (n, c, h, w); its outputs need not be images.

    Vectors become squares where their length allows it, else rows; (n, h, w) becomes (n, 1, h, w).
    """
    if outputs.ndim == 4:
        return outputs
    if outputs.ndim == 3:
        return outputs[:, None]
    flat = outputs.reshape(len(outputs), -1)
    side = math.isqrt(flat.shape[1])
    return flat.reshape(len(flat), 1, side, side) if side**2 == flat.shape[1] else flat[:, None, None, :]


def as_picture(image: Tensor, limits: tuple[float, float]) -> NDArray[np.float32]:
    """Turn an image (c, h, w) into what ``imshow`` takes, (h, w) grey or (h, w, 3), in 0..1.

    Images of other than 1 or 3 channels are drawn as the grey mean of their channels.
    """
    low, high = limits
    scaled = ((image.detach().float().cpu() - low) / max(high - low, 1e-12)).clamp(0, 1)
    if scaled.shape[0] == RGB:
        return scaled.permute(1, 2, 0).numpy()
    return scaled.mean(0).numpy()


def show_picture(axes: Axes, image: Tensor, limits: tuple[float, float], title: str = "") -> None:
    """Draw one image (c, h, w) without ticks."""
    axes.imshow(as_picture(image, limits), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    if title:
        axes.set_title(title, fontsize=8)


def frame(axes: Axes, colour: str, width: float) -> None:
    """Mark one picture by a coloured frame."""
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_edgecolor(colour)
        spine.set_linewidth(width)
