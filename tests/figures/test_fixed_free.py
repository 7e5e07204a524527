# SPDX-License-Identifier: MIT
import torch

from egbas.figures import deviation_figure, freedom_figure, pixel_deviation


def test_deviation_by_hand() -> None:
    images = torch.zeros(2, 2, 1, 2)
    images[0, 0, 0, 0], images[1, 0, 0, 0] = 1.0, 3.0  # deviation 1 in the first channel, 0 in the second
    assert pixel_deviation(images).tolist() == [[0.5, 0.0]]


def test_one_sample_deviates_by_nothing() -> None:
    assert pixel_deviation(torch.rand(1, 1, 3, 3)).max() == 0


def test_deviation_has_a_colour_bar() -> None:
    figure = deviation_figure(torch.rand(8, 8))
    figure.canvas.draw()
    assert any("standard deviation" in axes.get_ylabel() for axes in figure.axes)


def test_constant_images_can_be_drawn() -> None:
    deviation_figure(torch.zeros(4, 4)).canvas.draw()


def test_freedom_is_drawn_grey_where_there_is_none() -> None:
    freedom = torch.tensor([[[0.0, 1.0], [torch.nan, 0.5]]])
    figure = freedom_figure(freedom)
    figure.canvas.draw()
    (picture,) = figure.axes[0].images
    rows = picture.to_rgba(picture.get_array())
    grey = rows[1, 0, :3]
    assert len({round(float(value), 3) for value in grey}) == 1  # no colour
    assert rows[0, 0, :3].sum() < rows[0, 1, :3].sum()  # held is dark
    assert any("freedom" in axes.get_ylabel() for axes in figure.axes)
