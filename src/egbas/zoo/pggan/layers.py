# SPDX-License-Identifier: MIT
"""The layers of a PGGAN that torch does not have: pixel norm, positional bias, minibatch deviation."""

from typing import Literal, no_type_check

import torch
from jaxtyping import Float
from torch import Tensor, nn

TINY = 1e-8  # under the roots, as in every implementation
SLOPE = 0.2  # of a leaky ReLU, unless a file tells another


class PixelNorm(nn.Module):
    """Divide each pixel's vector of channels by its root mean square (Karras et al. 2018, section 4.2)."""

    @no_type_check  # torch.fx calls it with a stand-in for x
    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (n, c, ...) over c; signs stay as they are."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + TINY)


class PositionalBias(nn.Module):
    """Add a bias (c, h, w): that of a fully connected first layer."""

    def __init__(self, c: int, h: int, w: int) -> None:
        """Start at zero."""
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(c, h, w, dtype=torch.float32))

    @no_type_check
    def forward(self, x: Tensor) -> Tensor:
        """Add the bias to x (n, c, h, w)."""
        return x + self.bias


class FadeIn(nn.Module):
    """The last block while it fades in: share * enlarged image before it + (1 - share) * image after it.

    Karras et al. 2018, figure 2, from the features before the block to the image.

    Attributes:
        block: the last block.
        rgb: the 1 x 1 convolution after it.
        rgb_before: that of the resolution before it.
        share: of the image before it.
    """

    def __init__(self, block: nn.Module, rgb: nn.Module, rgb_before: nn.Module, share: float) -> None:
        """Take the modules."""
        super().__init__()
        self.block, self.rgb, self.rgb_before, self.share = block, rgb, rgb_before, share
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")

    @no_type_check
    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, c, h, w) to images (n, image_channels, 2 h, 2 w)."""
        return self.share * self.enlarge(self.rgb_before(x)) + (1 - self.share) * self.rgb(self.block(x))


def deviation_of(critic: nn.Module | None) -> "MinibatchDeviation | None":
    """The minibatch deviation of a critic; None where it has none."""
    modules = () if critic is None else critic.modules()
    return next((module for module in modules if isinstance(module, MinibatchDeviation)), None)


class MinibatchDeviation(nn.Module):
    """Append a constant channel: how much the images of a group differ (Karras et al. 2018, section 3).

    In train mode it is the statistic of the group, so that a critic sees whether samples are all alike. In eval
    mode it is the stored ``reference``, as batch norm does it: features and scores of an image then do not
    depend on the images beside it. The reference is 0 until ``record_statistic`` sets it, which is what an image
    on its own has.

    Attributes:
        reference: (), the statistic in eval mode.
    """

    reference: Tensor

    def __init__(self, groups: Literal["consecutive", "strided"], size: int, *, unbiased: bool) -> None:
        """Take the settings of ``CriticConfig``."""
        super().__init__()
        self.groups, self.size, self.unbiased = groups, size, unbiased
        self.register_buffer("reference", torch.zeros((), dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to (n, c + 1, h, w)."""
        n, _, h, w = x.shape
        statistic = self.statistic(x).view(n, 1, 1, 1) if self.training else self.reference
        return torch.cat([x, statistic.to(x.dtype).expand(n, 1, h, w)], dim=1)

    def statistic(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        """Mean over (c, h, w) of the standard deviation in each image's group.

        A batch that does not divide into groups is one group; an image on its own has 0.
        """
        n = len(x)
        size = self.size if n % self.size == 0 else n
        if size == 1:
            return x.new_zeros(n)
        if self.groups == "consecutive":
            groups = x.unflatten(0, (n // size, size)).transpose(0, 1)
        else:
            groups = x.unflatten(0, (size, n // size))
        variance = groups.var(dim=0, correction=int(self.unbiased))  # (n / size, c, h, w)
        deviation = (variance + TINY).sqrt().mean(dim=(1, 2, 3))  # (n / size,)
        if self.groups == "consecutive":
            return deviation.repeat_interleave(size)
        return deviation.repeat(size)
