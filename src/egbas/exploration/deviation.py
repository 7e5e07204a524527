# SPDX-License-Identifier: MIT
"""The standard deviation of each pixel, summed batch by batch: the one piece that facts, certainty and sanity share."""

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.network import Network

LARGE_IMAGE = 50_000  # values of an image, from which on fewer images are computed
_N_LARGE = 100
_OF_PRIOR, _VALUES_OF_PRIOR = 5000, 2**23  # draws that tell the prior's deviation, and values of their images


class PixelSums:
    """Sums of what images differ by from the query's image, so that little cancels; float64."""

    def __init__(self, query_image: Float[Tensor, "..."]) -> None:
        """Begin with no image.

        Args:
            query_image: (c, h, w), on the CPU.
        """
        self._around = query_image.double()
        self._total, self._squares = torch.zeros_like(self._around), torch.zeros_like(self._around)
        self._n = 0

    def add(self, images: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """Add images; what they differ by is given back."""
        gaps = images.to(self._around) - self._around
        self._total, self._squares = self._total + gaps.sum(dim=0), self._squares + gaps.square().sum(dim=0)
        self._n += len(images)
        return gaps

    def deviation(self, correction: int = 0) -> Float[Tensor, "..."]:
        """Of all images added, in pixel units.

        Args:
            correction: what the number of images is lessened by, as in ``torch.std``.
        """
        variance = (self._squares / self._n - (self._total / self._n).square()).clamp(min=0)
        return (variance * (self._n / max(self._n - correction, 1))).sqrt()


def shown_of(network: Network, n: int) -> int:
    """Of how many of n latents images are computed: fewer where they are large."""
    return n if network.image_size <= LARGE_IMAGE else min(_N_LARGE, n)


def draws_of_prior(network: Network, n: int) -> int:
    """How many draws of the prior tell its deviation: thousands where images are small, as many as samples elsewhere.

    As few as samples would make each run's freedom map another one, by pixels that change seldom over the prior.

    Args:
        network: the generator.
        n: samples that are compared with them, of which images are computed.
    """
    return max(n, min(_OF_PRIOR, _VALUES_OF_PRIOR // network.image_size))


def deviation_of(
    network: Network, latents: Float[Tensor, "n d"], query_image: Tensor, *, correction: int = 0
) -> Float[Tensor, "..."]:
    """Deviation of each pixel over latents, (c, h, w) float64, in pixel units.

    Args:
        network: the generator.
        latents: of which ``shown_of`` are looked at, spread evenly.
        query_image: (c, h, w), on the CPU.
        correction: as in ``torch.std``.
    """
    n = shown_of(network, len(latents))
    sums = PixelSums(query_image)
    for batch in network.image_batches(latents[torch.arange(n) * len(latents) // n]):
        sums.add(batch)
    return sums.deviation(correction)
