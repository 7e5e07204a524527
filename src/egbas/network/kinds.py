# SPDX-License-Identifier: MIT
"""What a network's output is, by its shape: an image, frames (a video, a volume), a signal (audio), or a vector."""

import math
from typing import Literal

Kind = Literal["image", "frames", "signal", "vector"]

_LEAST_SIDE = 8  # of a square image that comes as one flat vector: scikit-learn's digits
_CHANNELS = 4  # of an image at most; more are slices
_SIGNAL_CHANNELS, _LONG = 8, 16  # of a signal at most, and how much longer it is than they are many
_COLOURS = (1, 3)


def kind_of(shape: tuple[int, ...]) -> Kind:
    """What an output of that shape is taken for.

    (c, h, w) with up to four channels and (h, w) are images, and so are flat vectors of h * h values, from 8 * 8 on.
    (c, t), at most eight rows that are sixteen times as long, and (c, 1, t) are signals. (c, t, h, w), (t, c, h, w),
    (d, h, w) with more than four slices, and all that has more dimensions are frames. Other vectors are vectors.
    """
    if len(shape) == 1:
        return "image" if _side(shape[0]) >= _LEAST_SIDE else "vector"
    if len(shape) == 2:
        return "signal" if _is_signal(*shape) else "image"
    if len(shape) == 3:
        if shape[1] == 1 and _is_signal(shape[0], shape[2]):
            return "signal"
        return "image" if shape[0] <= _CHANNELS else "frames"
    return "frames"


def as_image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(c, h, w) of what ``kind_of`` takes for an image."""
    if len(shape) == 1:
        return 1, _side(shape[0]), _side(shape[0])
    return (1, *shape) if len(shape) == 2 else shape  # pyright: ignore[reportReturnType]


def as_signal_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """(c, t) of a signal or a vector."""
    return (1, shape[0]) if len(shape) == 1 else (shape[0], shape[-1])


def as_frames_shape(shape: tuple[int, ...]) -> tuple[tuple[int, int, int, int], bool]:
    """(c, t, h, w) of frames; and whether the frames come before the channels, (t, c, h, w)."""
    if len(shape) == 3:
        return (1, *shape), False
    *first, height, width = shape
    if len(first) == 2 and first[0] not in _COLOURS and first[1] in _COLOURS:
        return (first[1], first[0], height, width), True
    return (first[0], math.prod(first[1:]), height, width), False


def _is_signal(channels: int, length: int) -> bool:
    return channels <= _SIGNAL_CHANNELS and length >= _LONG * channels


def _side(size: int) -> int:
    """Of the square that so many values fill; 0 where they fill none."""
    side = math.isqrt(size)
    return side if side**2 == size else 0
