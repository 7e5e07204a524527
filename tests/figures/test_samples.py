# SPDX-License-Identifier: MIT
import numpy as np
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
def test_every_image_has_its_place(shape: tuple[int, ...]) -> None:
    images = torch.rand(shape)
    figure = samples_figure(images)
    figure.canvas.draw()
    (drawn,) = figure.axes[0].images
    mosaic = np.asarray(drawn.get_array())
    n, c, h, w = shape
    columns, gap = min(8, n), max(1, round(0.09 * w))
    for index, image in enumerate(images):
        top, left = index // columns * (h + gap), index % columns * (w + gap)
        cell = torch.from_numpy(mosaic[top : top + h, left : left + w]).permute(2, 0, 1)
        torch.testing.assert_close(cell, image if c == 3 else image.expand(3, h, w))
    if n > 1:
        assert (mosaic[:h, w : w + gap] == 1).all()  # white between them
    assert [text.get_text() for text in figure.axes[0].texts] == ["query"]


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (4, 4)])
def test_refuses_what_is_no_grid(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected"):
        samples_figure(torch.zeros(shape))
