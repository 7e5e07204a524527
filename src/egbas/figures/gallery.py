# SPDX-License-Identifier: MIT
"""What pictures and reports need of the images of all samples, gathered batch by batch.

Two thousand images of 1024 x 1024 pixels are 25 GB; some of them, their mean and their deviation are not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from egbas.evaluation.metrics.spread import PixelSpread
from egbas.figures.style import as_images, range_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Gallery:
    """The images of all samples, summed up.

    Attributes:
        count: how many there are.
        shown: (k, c, h, w), those chosen to be shown, the query first.
        mean: (c, h, w), of all.
        deviation: (h, w), standard deviation of each pixel over all, averaged over channels, in pixel units.
        limits: pixel values to draw black and white.
    """

    count: int
    shown: Tensor
    mean: Tensor
    deviation: Tensor
    limits: tuple[float, float]

    @classmethod
    def of(cls, batches: Iterable[Tensor], chosen: Sequence[int], *, n_beside: int = 0) -> "Gallery":
        """Go through all images once.

        Args:
            batches: what the network gives (m, ...), one batch after another.
            chosen: positions of the images to show, in the order they are shown in.
            n_beside: so many images at the start are shown, but are no samples: they do not count.
        """
        spread, kept, n_seen = PixelSpread(), {}, 0
        low, high = torch.inf, -torch.inf
        wanted = set(chosen)
        for batch in batches:
            images = as_images(batch.detach().float().cpu())
            kept |= {i: images[i - n_seen].clone() for i in wanted if n_seen <= i < n_seen + len(images)}
            counted = images[max(0, n_beside - n_seen) :]
            if len(counted):
                spread.add(counted)
            n_seen += len(images)
            low, high = min(low, images.min().item()), max(high, images.max().item())
        return cls(
            count=spread.n,
            shown=torch.stack([kept[i] for i in chosen]),
            mean=spread.mean.float(),
            deviation=spread.deviation.mean(dim=0).float(),
            limits=range_of(low, high),
        )
