# SPDX-License-Identifier: MIT
"""How far images lie apart: their deviation (the paper's Table 1), and over how much of the image they differ."""

from collections.abc import Iterable

import torch
from torch import Tensor


def deviation(images: Tensor) -> float:
    """Measure how much the images differ among each other (Table 1; Jeon et al. 2020, eq. 3 with the square it drops).

    The standard deviation over the samples of each pixel and channel, of the population (divided by n), in
    float64; then the mean over pixels and channels. In pixel units: 0 for equal images, at most 1 in -1..1.

    Args:
        images: (n, c, h, w), n >= 1.
    """
    return PixelSpread().add(images).deviation.mean().item()


class PixelSpread:
    """Mean and standard deviation of each pixel and channel over images that come in batches (Chan et al. 1983).

    Attributes:
        n: how many images were added.
        mean: (c, h, w), float64.
    """

    def __init__(self) -> None:
        """Start without images."""
        self.n = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self._squares = torch.zeros((), dtype=torch.float64)  # sum of squared differences from the mean

    def add(self, images: Tensor) -> "PixelSpread":
        """Take more images (m, c, h, w), m >= 1."""
        images = images.detach().double()
        mean, m = images.mean(dim=0), len(images)
        shift = mean - self.mean.to(mean)
        self._squares = self._squares.to(mean) + (images - mean).square().sum(dim=0)
        self._squares += shift.square() * (self.n * m / (self.n + m))
        self.mean = self.mean.to(mean) + shift * (m / (self.n + m))
        self.n += m
        return self

    @property
    def deviation(self) -> Tensor:
        """(c, h, w), float64, of the population (divided by n), in pixel units."""
        return (self._squares / self.n).sqrt()


def changed_share(images: Tensor | Iterable[Tensor], query_image: Tensor) -> float:
    """Over how large a share of the image the samples differ from the query: small where variation is local.

    For each sample, the effective share of pixels in its squared difference from the query, e = |x - x0|^2:
    (sum e)^2 / (pixels sum e^2) (the participation ratio), which is 1 where all pixels differ by the same amount and
    1 / pixels where one does; then the mean over samples. It does not depend on how much they differ.

    Args:
        images: (n, c, h, w), the samples, or batches of them.
        query_image: (c, h, w).

    Returns:
        In (0, 1]; NaN where every sample is the query's image.
    """
    shares = []
    for batch in [images] if isinstance(images, Tensor) else images:
        energy = (batch.double() - query_image.double()).square().sum(dim=1).flatten(1)  # (m, pixels)
        energy = energy[energy.sum(dim=1) > 0]
        shares.append(energy.sum(dim=1) ** 2 / (energy.shape[1] * energy.square().sum(dim=1)))
    return torch.cat(shares).mean().item()
