# SPDX-License-Identifier: MIT
"""How BerOpt went: its loss and the size of the kept set, step by step."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from egbas.figures.style import BLUE, VERMILION, new_figure


def history_figure(steps: Sequence[int], loss: Sequence[float], set_size: Sequence[float]) -> Figure:
    """Draw the loss and the number of kept units over the steps of BerOpt.

    Args:
        steps: at which the two were recorded.
        loss: of eq. 1 in relative form, same length.
        set_size: units with theta above the threshold, same length; empty where it was not recorded.
    """
    figure = new_figure(4.8, 2.4)
    axes = figure.subplots()
    axes.plot(steps, loss, color=BLUE, linewidth=1.2)
    axes.set_xlabel("step", fontsize=8)
    axes.set_ylabel("loss (solid)", fontsize=8, color=BLUE)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25, linewidth=0.5)
    if len(set_size):
        right = axes.twinx()
        right.plot(steps, set_size, color=VERMILION, linewidth=1.2, linestyle="--")
        right.set_ylabel("kept units (dashed)", fontsize=8, color=VERMILION)
        right.tick_params(labelsize=7)
        right.set_ylim(bottom=0)
    return figure
