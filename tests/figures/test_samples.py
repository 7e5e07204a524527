# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import ShapeError
from egbas.figures import choose_spread, samples_figure


def test_farthest_points_by_hand() -> None:
    latents = torch.tensor([[0.0], [1.0], [10.0], [-8.0], [5.0]])
    # From 0: 10 is farthest; then -8 (8 from 0); then 5 (5 from both 0 and 10); then 1.
    assert choose_spread(latents, 5) == [0, 2, 3, 4, 1]
    assert choose_spread(latents, 3) == [0, 2, 3]


def test_no_more_than_there_are() -> None:
    assert choose_spread(torch.zeros(1, 4), 10) == [0]


@pytest.mark.parametrize("shape", [(1, 1, 28, 28), (9, 1, 8, 8), (20, 3, 16, 16), (3, 1, 1, 40)])
def test_one_panel_per_image(shape: tuple[int, ...]) -> None:
    figure = samples_figure(torch.rand(shape))
    figure.canvas.draw()
    assert sum(bool(axes.images) for axes in figure.axes) == shape[0]
    assert figure.axes[0].get_title() == "query"


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (4, 4)])
def test_refuses_what_is_no_grid(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected"):
        samples_figure(torch.zeros(shape))
