# SPDX-License-Identifier: MIT
"""The region of a query in a 2-D latent plane, with what E-GBAS and the balls draw from; figs. 1, 3, 4, 5 of the paper."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from egbas.figures.plane import Window
from egbas.figures.style import BLACK, ORANGE

REGION_ALPHA = 0.4
QUERY_MARK: dict[str, Any] = {
    "marker": "*",
    "color": "white",
    "markersize": 12,
    "markeredgecolor": BLACK,
    "markeredgewidth": 1.1,
    "zorder": 8,
}


def fill_region(axes: Axes, xs: NDArray[np.float64], ys: NDArray[np.float64], margin: NDArray[np.float64]) -> None:
    """Fill where the margin (r, r), rows along y, is not negative."""
    if (margin >= 0).any():
        axes.contourf(xs, ys, margin, levels=[0, np.inf], colors=[ORANGE], alpha=REGION_ALPHA)


def plane_axes(axes: Axes, window: Window) -> None:
    """Give a panel of the latent plane its window and labels."""
    axes.set(xlim=window[:2], ylim=window[2:], aspect="equal")
    axes.set_xlabel("latent coordinate 1", fontsize=7.5)
    axes.set_ylabel("latent coordinate 2", fontsize=7.5)
    axes.tick_params(labelsize=7)
    axes.locator_params(nbins=4)
