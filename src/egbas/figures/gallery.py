# SPDX-License-Identifier: MIT
"""What pictures and reports need of the images of all samples, gathered batch by batch.

Two thousand images of 1024 x 1024 pixels are 25 GB; some of them, their mean and their deviation are not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from egbas.evaluation.metrics.spread import PixelSpread
from egbas.figures.look import Look
from egbas.network.image_range import ImageRange
from egbas.network.kinds import as_image_shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Gallery:
    """The images of all samples, summed up.

    Attributes:
        count: how many there are.
        shown: (k, c, h, w), pictures of those chosen to be shown, the query first.
        mean: (c, h, w), picture of the mean of all.
        deviation: (h, w), standard deviation of each pixel over all, averaged over channels, in pixel units; laid out
            as the pictures are.
        spread: the same of each value of an output, of its shape; of images, averaged over channels, (h, w).
        look: how outputs are drawn.
    """

    count: int
    shown: Tensor
    mean: Tensor
    deviation: Tensor
    spread: Tensor
    look: Look

    @property
    def limits(self) -> tuple[float, float]:
        """Pixel values of the pictures that are black and white."""
        return self.look.limits

    @classmethod
    def of(
        cls,
        batches: Iterable[Tensor],
        chosen: Sequence[int],
        *,
        n_beside: int = 0,
        image_range: ImageRange | None = None,
    ) -> "Gallery":
        """Go through all images once.

        Args:
            batches: what the network gives (m, ...), one batch after another.
            chosen: positions of the images to show, in the order they are shown in.
            n_beside: so many images at the start are shown, but are no samples: they do not count.
            image_range: of the network; None: the samples' own range.
        """
        spread, kept, n_seen = PixelSpread(), {}, 0
        low, high = torch.inf, -torch.inf
        wanted = set(chosen)
        for batch in batches:
            images = batch.detach().float().cpu()
            kept |= {i: images[i - n_seen].clone() for i in wanted if n_seen <= i < n_seen + len(images)}
            counted = images[max(0, n_beside - n_seen) :]
            if len(counted):
                spread.add(counted)
            n_seen += len(images)
            low, high = min(low, images.min().item()), max(high, images.max().item())
        shown = torch.stack([kept[i] for i in chosen])
        look = Look.of_range(tuple(shown.shape[1:]), (low, high), image_range)
        mean, deviation = (
            (spread.mean.float(), spread.deviation.float()) if spread.n else 2 * (torch.zeros_like(shown[0]),)
        )
        is_image = look.kind == "image"
        return cls(
            count=spread.n,
            shown=look.pictures(shown),
            mean=look.pictures(mean[None])[0],
            deviation=look.map(deviation),
            spread=deviation.reshape(as_image_shape(look.shape)).mean(dim=0) if is_image else deviation,
            look=look,
        )

    def beside(self, images: Tensor) -> "Gallery":
        """Other images (k, ...) of the network, the query first, drawn as these are; only shown, none is counted."""
        shown = self.look.pictures(images.detach().float().cpu())
        none = {name: torch.zeros_like(getattr(self, name)) for name in ("mean", "deviation", "spread")}
        return replace(self, count=0, shown=shown, **none)
