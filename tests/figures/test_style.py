# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.figures.style import as_images, as_picture, new_figure, pixel_range, show_picture


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


@pytest.mark.parametrize(
    ("shape", "images"),
    [
        ((5, 3, 8, 8), (5, 3, 8, 8)),
        ((5, 8, 6), (5, 1, 8, 6)),
        ((5, 49), (5, 1, 7, 7)),
        ((5, 10), (5, 1, 1, 10)),
    ],
)
def test_outputs_of_any_shape_become_images(shape: tuple[int, ...], images: tuple[int, ...]) -> None:
    assert as_images(torch.zeros(shape)).shape == images


def test_figures_stay_outside_pyplot() -> None:
    import matplotlib.pyplot as plt

    show_picture(new_figure(2.0, 2.0).subplots(), torch.zeros(1, 4, 4), (0.0, 1.0), "title")
    assert plt.get_fignums() == []
