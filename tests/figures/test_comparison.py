# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import ShapeError
from egbas.figures.comparison import comparison_figure


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16), (1, 1, 40)])
def test_the_query_before_each_row(shape: tuple[int, ...]) -> None:
    figure = comparison_figure(
        torch.rand(shape), {"E-GBAS": torch.rand(5, *shape), "eps-L2": torch.rand(3, *shape)}, "layer 1"
    )
    figure.canvas.draw()
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 2 + 5 + 3
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["E-GBAS", "eps-L2"]
    assert figure.axes[0].get_title() == "query"


def test_rows_share_their_scale() -> None:
    dark, bright = torch.full((1, 1, 2, 2), 0.1), torch.full((1, 1, 2, 2), -0.9)
    figure = comparison_figure(torch.zeros(1, 2, 2), {"a": dark, "b": bright})
    drawn = [float(axes.images[0].get_array().max()) for axes in figure.axes if axes.images]
    assert drawn == pytest.approx([0.5, 0.55, 0.5, 0.05])


@pytest.mark.parametrize("rows", [{}, {"a": torch.zeros(0, 1, 4, 4)}, {"a": torch.zeros(2, 1, 4, 5)}])
def test_refuses_what_does_not_belong_together(rows: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ShapeError, match="expected"):
        comparison_figure(torch.zeros(1, 4, 4), rows)
