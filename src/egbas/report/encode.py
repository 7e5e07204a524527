# SPDX-License-Identifier: MIT
"""Images and figures as data URLs, so that a page needs no other file."""

import base64
import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from egbas.figures.style import as_picture

LARGEST_PICTURE = 256  # pixels; larger images are shown smaller, so that the page stays light


def picture(image: Tensor, limits: tuple[float, float]) -> str:
    """One image (c, h, w) as a data URL, pixel by pixel."""
    pixels = Image.fromarray((as_picture(image, limits) * 255).round().astype(np.uint8))
    pixels.thumbnail((LARGEST_PICTURE, LARGEST_PICTURE))
    buffer = io.BytesIO()
    pixels.save(buffer, format="PNG", optimize=True)
    return _data_url(buffer)


def chart(figure: Figure) -> str:
    """A figure as a data URL."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return _data_url(buffer)


def _data_url(buffer: io.BytesIO) -> str:
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
