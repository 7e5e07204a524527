# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch
from matplotlib import colormaps

from egbas.figures.style import (
    DEVIATION_MAP,
    GREY,
    as_picture,
    channels_of,
    coloured,
    pixel_range,
    pixels_of,
)


@pytest.mark.parametrize(
    ("values", "limits"),
    [([0.0, 1.0], (0, 1)), ([-1.0, 0.5], (-1, 1)), ([0.2, 0.4], (0, 1)), ([-3.0, 5.0], (-3, 5))],
)
def test_range_of_pixels(values: list[float], limits: tuple[float, float]) -> None:
    assert pixel_range(torch.tensor(values).reshape(2, 1, 1, 1)) == pytest.approx(limits)


def test_grey_and_colour_pictures() -> None:
    assert as_picture(torch.full((1, 2, 3), -1.0), (-1.0, 1.0)).tolist() == [[0.0] * 3] * 2
    assert as_picture(torch.ones(3, 2, 3), (-1.0, 1.0)).shape == (2, 3, 3)
    assert as_picture(torch.ones(2, 4, 4), (0.0, 1.0)).shape == (
        4,
        4,
    )  # neither grey nor RGB: mean of the channels


def test_constant_images_are_drawn() -> None:
    assert as_picture(torch.full((1, 2, 2), 7.0), (7.0, 7.0)).shape == (2, 2)


def test_deviations_have_the_colours_that_matplotlib_gives_them() -> None:
    values = np.linspace(0, 1, 256)[None]
    expected = colormaps[DEVIATION_MAP](values)[..., :3]
    assert np.abs(coloured(values) - expected).max() < 0.01


def test_what_is_no_number_is_grey() -> None:
    assert coloured(np.array([[np.nan]])).ravel() == pytest.approx(channels_of(GREY))


def test_a_picture_has_256_steps() -> None:
    assert np.asarray(pixels_of(np.array([[0.0, 0.5, 1.0]], dtype=np.float32))).tolist() == [[0, 128, 255]]
