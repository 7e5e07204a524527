# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch
from PIL import Image

from egbas.errors import ShapeError
from egbas.figures import choose_spread, freedom_picture, samples_sheet
from egbas.figures.samples import mosaic


def test_farthest_points_by_hand() -> None:
    latents = torch.tensor([[0.0], [1.0], [10.0], [-8.0], [5.0]])
    # From 0: 10 is farthest; then -8 (8 from 0); then 5 (5 from both 0 and 10); then 1.
    assert choose_spread(latents, 5) == [0, 2, 3, 4, 1]
    assert choose_spread(latents, 3) == [0, 2, 3]


def test_no_more_than_there_are() -> None:
    assert choose_spread(torch.zeros(1, 4), 10) == [0]


def cells_of(sheet: Image.Image, n: int, size: tuple[int, int], times: float) -> torch.Tensor:
    """The first n cells of a sheet (n, 3, h, w), each pixel once, in 0..1; where they lie is found by what is white."""
    pixels = np.asarray(sheet.convert("RGB")) / 255
    h, w = size
    height, width = round(h * times), round(w * times)
    gap = max(2, round(0.09 * width))
    across, down = max(width + gap, 80), height + gap
    cells = []
    for index in range(n):
        top, left = 38 + index // 8 * down, 8 + index % 8 * across
        cell = pixels[top : top + height, left : left + width]
        middle = int(times) // 2
        cells.append(torch.from_numpy(cell[middle :: int(times), middle :: int(times)]).permute(2, 0, 1))
    return torch.stack(cells).float()


@pytest.mark.parametrize(
    ("shape", "times"), [((1, 1, 28, 28), 5), ((9, 1, 8, 8), 16), ((20, 3, 16, 16), 8), ((3, 1, 1, 40), 3)]
)
def test_every_image_has_its_place_and_every_pixel_is_a_square(shape: tuple[int, ...], times: int) -> None:
    images = torch.rand(shape)
    cells = cells_of(samples_sheet(images), shape[0], (shape[2], shape[3]), times)
    torch.testing.assert_close(cells, images.expand(-1, 3, -1, -1), atol=0.003, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_freedom_stands_beside_the_query_in_place_of_the_last_sample(channels: int) -> None:
    images, freedom = torch.rand(10, channels, 8, 8), torch.rand(channels, 8, 8)
    sheet = samples_sheet(images, freedom=freedom)
    expected = [image.expand(3, 8, 8) for image in images[:9]]
    expected.insert(1, freedom_picture(freedom))
    torch.testing.assert_close(cells_of(sheet, 10, (8, 8), 16), torch.stack(expected), atol=0.003, rtol=0)
    assert sheet.size == samples_sheet(images).size


def test_the_freedom_stands_beside_a_query_without_samples() -> None:
    freedom = torch.rand(1, 8, 8)
    cells = cells_of(samples_sheet(torch.rand(1, 1, 8, 8), freedom=freedom), 2, (8, 8), 16)
    torch.testing.assert_close(cells[1], freedom_picture(freedom), atol=0.003, rtol=0)


def test_the_query_has_a_frame_and_its_name_in_one_colour() -> None:
    frame = np.all(np.asarray(samples_sheet(torch.zeros(8, 1, 28, 28))) == (0xD5, 0x5E, 0x00), axis=-1)
    rows, columns = np.nonzero(frame)
    assert columns.max() < 8 + 140 + 8  # nothing else has it
    assert rows.min() < 25  # the word above
    assert frame[34:182, 4].all()


@pytest.mark.parametrize("size", [(1024, 1024), (300, 2000), (40, 1)])
def test_a_sheet_stays_of_a_size_to_look_at(size: tuple[int, int]) -> None:
    width, height = samples_sheet(torch.rand(9, 3, *size)).size
    assert 200 < width < 1300
    assert height < 400


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (4, 4)])
def test_refuses_what_is_no_grid(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected"):
        samples_sheet(torch.zeros(shape))


def test_a_mosaic_has_white_between_its_images() -> None:
    images = torch.rand(3, 3, 4, 5)
    drawn = torch.from_numpy(mosaic(images, 2, 2, 1)).permute(2, 0, 1)
    assert drawn.shape == (3, 9, 11)
    torch.testing.assert_close(drawn[:, 5:, :5], images[2])
    assert (drawn[:, 4] == 1).all() and (drawn[:, 5:, 6:] == 1).all()
