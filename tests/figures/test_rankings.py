# SPDX-License-Identifier: MIT
import pytest

from egbas.errors import ShapeError
from egbas.figures.rankings import Panel, rankings_figure

SHARES = (0.01, 0.1, 1.0)
PANEL = Panel(title="l = 1", curves={"largest": [0.9, 0.5, 0.0], "random": [1.0, 0.8, 0.0]}, points=[(0.1, 0.1)])


def test_a_line_for_each_ranking_and_a_star_for_each_query() -> None:
    figure = rankings_figure([PANEL, PANEL, PANEL], SHARES, columns=2)
    figure.canvas.draw()
    drawn = figure.axes[0].lines
    assert [line.get_label() for line in drawn] == ["largest", "random", "BerOpt, each query"]
    assert list(drawn[0].get_ydata()) == [0.9, 0.5, 0.0]
    assert [list(drawn[2].get_xdata()), list(drawn[2].get_ydata())] == [[0.1], [0.1]]
    assert [axes.get_title() for axes in figure.axes if axes.axison] == ["l = 1"] * 3
    assert "1%" in [label.get_text() for label in figure.axes[2].get_xticklabels()]


@pytest.mark.parametrize(
    "panels",
    [
        [],
        [Panel(title="", curves={"largest": [0.5]}, points=[])],
        [Panel(title="", curves={str(k): [0.0] * 3 for k in range(7)}, points=[])],
    ],
)
def test_curves_that_do_not_fit(panels: list[Panel]) -> None:
    with pytest.raises(ShapeError, match="panels of at most"):
        rankings_figure(panels, SHARES)
