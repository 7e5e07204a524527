# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch

from egbas.figures.look import HEIGHT, WIDTH, Look
from egbas.figures.style import BLUE, channels_of
from egbas.network.image_range import ImageRange


def look(*shape: int) -> Look:
    return Look(shape, (-1.0, 1.0))


@pytest.mark.parametrize(
    ("shape", "picture"),
    [
        ((3, 8, 8), (3, 8, 8)),
        ((8, 6), (1, 8, 6)),
        ((64,), (1, 8, 8)),
        ((3, 12, 5, 6), (3, 10, 24)),  # eight frames, four in a row
        ((12, 3, 5, 6), (3, 10, 24)),
        ((1, 3, 5, 6), (1, 5, 18)),
        ((2, 3, 4, 5, 6), (2, 10, 24)),
        ((10,), (3, HEIGHT, WIDTH)),
        ((1, 2000), (3, HEIGHT, WIDTH)),
        ((2, 100), (3, HEIGHT, WIDTH)),
    ],
)
def test_outputs_of_any_shape_become_pictures_and_maps_of_one_size(
    shape: tuple[int, ...], picture: tuple[int, ...]
) -> None:
    outputs = 2 * torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)) - 1
    drawn, laid_out = look(*shape).pictures(outputs), look(*shape).map(outputs[0].abs())
    assert drawn.shape == (2, *picture)
    assert laid_out.shape == picture[1:]
    assert bool(torch.isfinite(drawn).all())


def test_frames_lie_side_by_side_in_their_order() -> None:
    video = torch.arange(9.0)[None, :, None, None].expand(3, 9, 2, 2)
    drawn = look(3, 9, 2, 2).pictures(video[None])[0]
    assert drawn[0, ::2, ::2].flatten().tolist() == [0, 1, 2, 3, 5, 6, 7, 8]  # evenly, first and last among them
    first = video.transpose(0, 1)
    torch.testing.assert_close(look(9, 3, 2, 2).pictures(first[None])[0], drawn)


def test_a_row_that_is_not_full_ends_in_the_last_frame() -> None:
    volume = torch.arange(5.0)[None, :, None, None].expand(1, 5, 1, 1)
    assert look(1, 5, 1, 1).pictures(volume[None])[0, 0].tolist() == [[0, 1, 2, 3], [4, 4, 4, 4]]


def test_a_curve_goes_through_its_values() -> None:
    drawn = look(4).pictures(torch.tensor([[-1.0, 1.0, 0.0, -1.0]]))[0].permute(1, 2, 0).numpy()
    is_curve = np.isclose(drawn, channels_of(BLUE), atol=1e-6).all(axis=2)
    middle = [int(np.flatnonzero(is_curve[:, column]).mean()) for column in (20, 60, 100, 140)]
    assert middle[0] == middle[3] > middle[2] > middle[1]


def test_curves_of_two_outputs_share_a_scale() -> None:
    low, high = look(4).pictures(torch.tensor([[0.1] * 4, [0.9] * 4]))
    rows = [int((each[2] > each[0]).nonzero()[0, 0]) for each in (low, high)]  # blue
    assert rows[1] < rows[0]


def test_a_tone_is_a_line_in_the_spectrogram() -> None:
    def row_of(cycles: float) -> int:
        tone = torch.sin(2 * torch.pi * cycles * torch.arange(8000) / 256)
        below = look(1, 8000).pictures(tone[None, None])[0, :, HEIGHT // 2 :].sum(dim=0)
        return int(below[:, 10:-10].mean(dim=1).argmax())

    assert row_of(100) < row_of(50) < row_of(10)  # low tones below


def test_nan_is_left_out_of_maps() -> None:
    freedom = torch.full((1, 2000), 0.5)
    freedom[0, :7] = torch.nan
    assert torch.equal(look(1, 2000).map(freedom), torch.full((HEIGHT, WIDTH), 0.5))


def test_limits() -> None:
    outputs = torch.tensor([[[[0.2, 0.6]]]])
    assert Look.of(outputs).limits == (0.0, 1.0)
    assert Look.of(outputs, ImageRange(-1.0, 1.0, "images")).limits == (-1.0, 1.0)
    curve = Look.of(torch.tensor([[0.2, 0.6, 3.0]]), ImageRange(-1.0, 1.0, "images"))
    assert curve.values == pytest.approx((0.2, 3.0))
    assert curve.limits == (0.0, 1.0)
