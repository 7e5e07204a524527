# SPDX-License-Identifier: MIT
from egbas.figures import history_figure


def test_loss_and_size_have_their_own_axes() -> None:
    figure = history_figure(range(1, 4), [3.0, 2.0, 1.0], [30.0, 20.0, 10.0])
    figure.canvas.draw()
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss (solid)", "kept units (dashed)"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [3, 2, 1]


def test_sizes_may_be_missing() -> None:
    assert len(history_figure([1, 2], [1.0, 0.5], []).axes) == 1
