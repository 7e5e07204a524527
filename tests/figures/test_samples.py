# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch

from egbas.errors import ShapeError
from egbas.figures import choose_spread, freedom_picture, samples_figure


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


@pytest.mark.parametrize("channels", [1, 3])
def test_the_freedom_stands_beside_the_query_in_place_of_the_last_sample(channels: int) -> None:
    images, freedom = torch.rand(10, channels, 8, 8), torch.rand(channels, 8, 8)
    figure = samples_figure(images, freedom=freedom)
    figure.canvas.draw()
    mosaic = torch.from_numpy(np.asarray(figure.axes[0].images[0].get_array()))
    cells = [mosaic[top : top + 8, left : left + 8].permute(2, 0, 1) for top in (0, 9) for left in range(0, 72, 9)]
    expected = [image.expand(3, 8, 8) for image in images[:9]]
    expected.insert(1, freedom_picture(freedom))
    torch.testing.assert_close(torch.stack(cells[:10]), torch.stack(expected))
    assert (torch.stack(cells[10:]) == 1).all()  # white
    assert [text.get_text() for text in figure.axes[0].texts] == ["query", "freedom"]


def test_the_freedom_stands_beside_a_query_without_samples() -> None:
    figure = samples_figure(torch.rand(1, 1, 8, 8), freedom=torch.rand(1, 8, 8))
    assert np.asarray(figure.axes[0].images[0].get_array()).shape == (8, 17, 3)


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (4, 4)])
def test_refuses_what_is_no_grid(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected"):
        samples_figure(torch.zeros(shape))
