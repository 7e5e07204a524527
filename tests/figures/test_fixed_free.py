# SPDX-License-Identifier: MIT
import base64
import io
import re

import numpy as np
import torch
from PIL import Image

from egbas.figures import Drawing, deviation_drawing, freedom_drawing, freedom_picture, pixel_deviation


def first_picture(drawing: Drawing) -> np.ndarray:
    """The map, without its colour bar."""
    found = re.search(r'href="data:image/png;base64,([^"]*)"', drawing.svg())
    assert found
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))


def test_deviation_by_hand() -> None:
    images = torch.zeros(2, 2, 1, 2)
    images[0, 0, 0, 0], images[1, 0, 0, 0] = 1.0, 3.0  # deviation 1 in the first channel, 0 in the second
    assert pixel_deviation(images).tolist() == [[0.5, 0.0]]


def test_one_sample_deviates_by_nothing() -> None:
    assert pixel_deviation(torch.rand(1, 1, 3, 3)).max() == 0


def test_deviation_has_a_colour_bar() -> None:
    deviation = torch.rand(8, 5, generator=torch.Generator().manual_seed(0))
    deviation[2, 3] = 1.2  # by far the largest: two that are close have one colour
    drawing = deviation_drawing(deviation)
    assert "standard deviation" in drawing.svg()
    drawn = first_picture(drawing)
    assert drawn.shape == (8, 5, 3)
    assert drawn.sum(-1).argmax() == deviation.argmax()


def test_constant_images_can_be_drawn() -> None:
    assert len(np.unique(first_picture(deviation_drawing(torch.zeros(4, 4))).reshape(-1, 3), axis=0)) == 1


def test_freedom_is_drawn_grey_where_there_is_none() -> None:
    freedom = torch.tensor([[[0.0, 1.0], [torch.nan, 0.5]]])
    drawing = freedom_drawing(freedom)
    drawn = first_picture(drawing)
    assert len(np.unique(drawn[1, 0])) == 1  # no colour
    assert drawn[0, 0].sum() < drawn[0, 1].sum()  # held is dark
    assert "freedom" in drawing.svg()


def test_large_maps_are_drawn_with_as_many_pixels_as_are_seen() -> None:
    assert max(first_picture(deviation_drawing(torch.rand(2048, 1024))).shape) < 1000


def test_a_map_that_is_a_row_has_room_for_its_bar() -> None:
    drawing = deviation_drawing(torch.rand(1, 40))
    assert drawing.height > 150


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
    assert freedom_picture(torch.rand(64)).shape == (3, 8, 8)
