# SPDX-License-Identifier: MIT
import torch

from egbas.figures.panel import frame, new_figure, show_picture


def test_figures_stay_outside_pyplot() -> None:
    import matplotlib.pyplot as plt

    show_picture(new_figure(2.0, 2.0).subplots(), torch.zeros(1, 4, 4), (0.0, 1.0), "title")
    assert plt.get_fignums() == []


def test_a_frame_goes_around_its_picture() -> None:
    axes = new_figure(2.0, 2.0).subplots()
    frame(axes, "#ff0000", 3.0)
    assert all(
        spine.get_linewidth() == 3.0 and spine.get_edgecolor()[:3] == (1, 0, 0) for spine in axes.spines.values()
    )
