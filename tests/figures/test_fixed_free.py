# SPDX-License-Identifier: MIT
import torch

from egbas.figures import deviation_figure, freedom_figure, freedom_picture, pixel_deviation


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


def test_a_picture_of_freedom_is_dark_where_it_is_held_and_grey_where_there_is_none() -> None:
    picture = freedom_picture(torch.tensor([[[0.0, 0.5], [1.0, torch.nan]]]))
    assert (picture.shape, picture.dtype) == ((3, 2, 2), torch.float32)
    assert 0 <= picture.min() and picture.max() <= 1
    held, half, free = (picture[:, row, column].sum() for row, column in ((0, 0), (0, 1), (1, 0)))
    assert held < half < free
    assert picture[:, 1, 1].unique().numel() == 1  # no colour


def test_a_picture_of_freedom_averages_over_channels_that_have_one() -> None:
    channels = torch.tensor([[[0.0, torch.nan]], [[1.0, 0.5]]])
    both = freedom_picture(channels)
    assert torch.equal(both[:, 0, 0], both[:, 0, 1])
    assert torch.equal(both, freedom_picture(torch.full((1, 1, 2), 0.5)))


def test_more_than_free_is_drawn_as_free() -> None:
    assert torch.equal(freedom_picture(torch.full((1, 2, 2), 1.7)), freedom_picture(torch.ones(1, 2, 2)))


def test_freedom_of_what_is_no_image_can_be_drawn() -> None:
    assert freedom_picture(torch.rand(16)).shape == (3, 4, 4)
