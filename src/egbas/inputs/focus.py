# SPDX-License-Identifier: MIT
"""The part of the image that ``--focus`` names: a box in pixels, or a picture whose dark pixels are left out."""

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from egbas.errors import ConfigError

_STEPS = 257  # of 16 bits to one of 8
_LONGEST = 100  # letters of a text that are told again
_HALF = 128  # of 255: what is at least so bright counts


def find_focus(given: str) -> tuple[int, ...] | Tensor:
    """Read a focus, as ``egbas.explore`` takes it.

    Args:
        given: such as ``10,20,40,50``: left, top, right and bottom; or the path of a picture.

    Raises:
        ConfigError: it is neither, or the picture cannot be read.
    """
    if re.fullmatch(r"-?\d{1,9}(\s*,\s*-?\d{1,9}){3}", given.strip()):
        return tuple(int(word) for word in given.split(","))
    path = Path(given)
    if not _is_file(path):
        given = given if len(given) <= _LONGEST else f"{given[:_LONGEST]}..."
        raise ConfigError(f"--focus {given!r} is neither a box x0,y0,x1,y1 in pixels nor a picture; got no such file")
    try:
        with Image.open(path) as picture:
            grey = _grey(picture)
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise ConfigError(f"--focus {given}: the picture cannot be read ({error}); expected a PNG or JPEG") from error
    return torch.from_numpy(grey) >= _HALF


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, or one with a null byte
        return False


def _grey(picture: Image.Image) -> np.ndarray:
    """Brightness (h, w) from 0 to 255; what is transparent is black, and 16 bits become 8."""
    if picture.mode.startswith("I"):
        return np.asarray(picture).astype(np.float32) / _STEPS
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), coloured)
    return np.array(picture.convert("L"))
