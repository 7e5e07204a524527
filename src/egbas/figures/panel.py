# SPDX-License-Identifier: MIT
"""What the figures that matplotlib draws share: an empty one, an image in a panel, a frame around it."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from egbas.figures.style import as_picture


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches, outside pyplot."""
    return Figure(figsize=(width, height), layout="constrained", dpi=150)


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
