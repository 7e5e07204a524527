# SPDX-License-Identifier: MIT
import torch

from egbas.figures import deviation_figure, pixel_deviation


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
