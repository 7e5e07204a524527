# SPDX-License-Identifier: MIT
"""Which pixel values of a network's images are black and white: 0 and 1, -1 and 1, or 0 and 255 (uint8 as floats).

In: a generator and some of its images. Out: the range, and where it is known from.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from egbas.errors import ConfigError

UNIT, SIGNED, BYTES = (0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)
_SLACK = 0.1  # of the width: networks without a last Sigmoid or Tanh overshoot
_OUTER = (0.01, 0.99)  # quantiles that have to lie within the range and its slack
_BRIGHT = 64.0  # of 255, that the upper quantile reaches where images are in 0..255


@dataclass(frozen=True)
class ImageRange:
    """Pixel values that are black and white.

    Attributes:
        low: black.
        high: white.
        source: ``"generator"`` where its attribute ``image_range`` says so, ``"images"`` where its images do.
    """

    low: float
    high: float
    source: str

    @property
    def limits(self) -> tuple[float, float]:
        """Black and white."""
        return self.low, self.high

    def record(self) -> dict[str, Any]:
        """As ``config.json`` holds it."""
        return {"low": self.low, "high": self.high, "source": self.source}


def checked_range(given: Any) -> tuple[float, float]:
    """A range that a user gives.

    Raises:
        ConfigError: it is no pair of two finite numbers in order.
    """
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(
            f"got image_range={given!r}; expected the pixel values of black and white, such as (0, 1), (-1, 1) or "
            "(0, 255)"
        )
    return low, high


def image_range_of(generator: object, images: Tensor) -> ImageRange | None:
    """The range of a generator's images; None where neither its attribute ``image_range`` nor its images tell.

    Args:
        generator: whose attribute ``image_range`` comes first, where it has one that is a tuple or a list.
        images: (n, ...) of some latents of its prior.

    Raises:
        ConfigError: the attribute is no range.
    """
    given = getattr(generator, "image_range", None)
    if isinstance(given, tuple | list):
        return ImageRange(*checked_range(given), source="generator")
    levels = torch.tensor(_OUTER, dtype=torch.float64)
    values = images.detach().double().flatten().cpu()
    low, high = torch.stack([values.sort().values[int(level * (len(values) - 1))] for level in levels]).tolist()
    for black, white in (UNIT, SIGNED, BYTES):
        slack = _SLACK * (white - black)
        is_within = black - slack <= low and high <= white + slack
        if is_within and (white != BYTES[1] or high >= _BRIGHT):
            return ImageRange(black, white, source="images")
    return None
