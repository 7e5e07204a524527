# SPDX-License-Identifier: MIT
import pytest

from egbas.network.kinds import as_frames_shape, as_image_shape, as_signal_shape, kind_of


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((3, 64, 64), "image"),
        ((1, 28, 28), "image"),
        ((4, 8, 8), "image"),
        ((28, 28), "image"),
        ((784,), "image"),
        ((64,), "image"),
        ((49,), "vector"),
        ((100,), "image"),
        ((10,), "vector"),
        ((1,), "vector"),
        ((1, 16000), "signal"),
        ((2, 4000), "signal"),
        ((1, 1, 4000), "signal"),
        ((16, 16000), "image"),
        ((3, 8, 16, 16), "frames"),
        ((8, 3, 16, 16), "frames"),
        ((1, 12, 16, 16), "frames"),
        ((12, 16, 16), "frames"),
        ((2, 2, 2, 3, 4), "frames"),
    ],
)
def test_what_a_shape_is_taken_for(shape: tuple[int, ...], kind: str) -> None:
    assert kind_of(shape) == kind


def test_shapes_to_draw() -> None:
    assert as_image_shape((784,)) == (1, 28, 28)
    assert as_image_shape((5, 6)) == (1, 5, 6)
    assert as_signal_shape((10,)) == (1, 10)
    assert as_signal_shape((2, 1, 50)) == (2, 50)
    assert as_frames_shape((3, 8, 5, 6)) == ((3, 8, 5, 6), False)
    assert as_frames_shape((8, 3, 5, 6)) == ((3, 8, 5, 6), True)
    assert as_frames_shape((12, 5, 6)) == ((1, 12, 5, 6), False)
    assert as_frames_shape((2, 2, 2, 3, 4)) == ((2, 4, 3, 4), False)
