# SPDX-License-Identifier: MIT
"""What all figures share: colours that the colour-blind and a grey printer tell apart, images as pictures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

# Okabe and Ito 2008; each has its own lightness, so that they differ in print too.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREY = "#8C8C8C"

DEVIATION_MAP = "magma"  # lightness rises with the value, in colour and in grey

# Every eighth colour of the map, so that it can be had without matplotlib; between them it is straight.
_DEVIATION_COLOURS = """
000004 030312 0a0822 130d34 1d1147 29115a 36106b 440f76 51127c 5d177f 6a1c81 762181 832681 902a81 9c2e7f aa337d b73779
c23b75 cf4070 db476a e55064 ee5b5e f4695c f9785d fb8761 fd9668 fea571 feb47b fec287 fed194 fde0a1 fceeb0 fcfdbf
""".split()

RGB = 3
Picture = NDArray[np.float32]  # (h, w) grey or (h, w, 3), in 0..1


def pixel_range(images: Tensor) -> tuple[float, float]:
    """Find the pixel values to draw black and white.

    Generators end in a Tanh (-1..1) or a Sigmoid (0..1); anything wider is stretched over its own range.
    """
    return range_of(float(images.min()), float(images.max()))


def range_of(low: float, high: float) -> tuple[float, float]:
    """As ``pixel_range``, of the smallest and the largest value."""
    tiny = 1e-3
    if low >= -tiny and high <= 1 + tiny:
        return 0.0, 1.0
    if low >= -1 - tiny and high <= 1 + tiny:
        return -1.0, 1.0
    return low, high


def as_picture(image: Tensor, limits: tuple[float, float]) -> Picture:
    """Turn an image (c, h, w) into a picture.

    Images of other than 1 or 3 channels are drawn as the grey mean of their channels.
    """
    low, high = limits
    scaled = ((image.detach().float().cpu() - low) / max(high - low, 1e-12)).clamp(0, 1)
    if scaled.shape[0] == RGB:
        return scaled.permute(1, 2, 0).numpy()
    return scaled.mean(0).numpy()


def coloured(values: NDArray[np.floating[Any]]) -> Picture:
    """Colour values (h, w) in 0..1 by the map of deviations, from dark to bright; what is no number is grey."""
    colours = np.array([channels_of(colour) for colour in _DEVIATION_COLOURS])
    known = np.nan_to_num(values) * (len(colours) - 1)
    drawn = np.stack([np.interp(known, np.arange(len(colours)), channel) for channel in colours.T], axis=-1)
    drawn[np.isnan(values)] = channels_of(GREY)
    return drawn.astype(np.float32)


def channels_of(colour: str) -> NDArray[np.float64]:
    """Red, green and blue of a colour, in 0..1."""
    return np.frombuffer(bytes.fromhex(colour.removeprefix("#")), dtype=np.uint8) / 255


def pixels_of(picture: Picture) -> Image.Image:
    """A picture in 256 steps."""
    return Image.fromarray((picture * 255).round().astype(np.uint8))
