# SPDX-License-Identifier: MIT
"""Images and drawings as data URLs, so that a page needs no other file."""

import base64
import io

from torch import Tensor

from egbas.figures import Drawing
from egbas.figures.style import as_picture, pixels_of

LARGEST_PICTURE = 256  # pixels; larger images are shown smaller, so that the page stays light


def picture(image: Tensor, limits: tuple[float, float]) -> str:
    """One image (c, h, w) as a data URL, pixel by pixel."""
    pixels = pixels_of(as_picture(image, limits))
    pixels.thumbnail((LARGEST_PICTURE, LARGEST_PICTURE))
    buffer = io.BytesIO()
    pixels.save(buffer, format="PNG", optimize=True)
    return data_url(buffer.getvalue(), "png")


def chart(drawing: Drawing) -> str:
    """A drawing as a data URL."""
    return data_url(drawing.svg().encode(), "svg+xml")


def data_url(content: bytes, kind: str) -> str:
    """An image file as a data URL; its kind is that of MIME."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
