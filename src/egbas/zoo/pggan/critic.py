# SPDX-License-Identifier: MIT
"""The critic of PGGAN as plain convolutions, whatever implementation its weights come from."""

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egbas.errors import ShapeError
from egbas.zoo.pggan.config import CriticConfig
from egbas.zoo.pggan.layers import MinibatchDeviation


class PgganCritic(nn.Sequential):
    """Map images (n, image_channels, resolution, resolution) to scores (n, 1) (Karras et al. 2018).

    ``rgb`` (1 x 1) and ``act0`` read the image. Block b of 4 * 2**b pixels, from the largest b down to 1, is
    ``conv{l}``, ``act{l}``, ``conv{l+1}``, ``act{l+1}``, ``pool{l+1}``, all 3 x 3 with padding 1, the second to
    the channels of the next block; with ``pooling="before"`` the pool stands before its activation. At 4 x 4
    follow ``deviation`` (one more channel), a last pair ``conv{l}``, ``act{l}``, then ``flatten`` (in the order c,
    h, w), ``feature`` (linear, to ``head_channels``), ``act{l+1}`` and the linear ``score``. The numbers of
    ``act`` go on in the order of the forward pass.

    The state dict holds ``weight`` and ``bias`` of ``rgb``, every ``conv{l}``, ``feature`` and ``score``, with every
    scale folded in, and ``deviation.reference`` (see ``MinibatchDeviation``: in eval mode the scores and features
    of an image do not depend on the others in its batch).

    Attributes:
        config: the settings.
    """

    def __init__(self, config: CriticConfig) -> None:
        """Build the critic."""
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["rgb"] = nn.Conv2d(config.image_channels, config.channels[-1], 1)
        if config.input_activation:
            layers["act0"] = nn.LeakyReLU(config.slope)
        blocks = range(len(config.channels) - 1, 0, -1)
        for number, block in zip(range(1, 2 * len(blocks), 2), blocks, strict=True):
            c, c_next = config.channels[block], config.channels[block - 1]
            layers[f"conv{number}"] = nn.Conv2d(c, c, 3, padding=1)
            layers[f"act{number}"] = nn.LeakyReLU(config.slope)
            layers[f"conv{number + 1}"] = nn.Conv2d(c, c_next, 3, padding=1)
            last: list[tuple[str, nn.Module]] = [("act", nn.LeakyReLU(config.slope)), ("pool", nn.AvgPool2d(2))]
            for kind, layer in last if config.pooling == "after" else reversed(last):
                layers[f"{kind}{number + 1}"] = layer
        number, c = 2 * len(blocks) + 1, config.channels[0]
        if config.groups != "none":
            layers["deviation"] = MinibatchDeviation(config.groups, config.group_size, unbiased=config.unbiased)
        layers[f"conv{number}"] = nn.Conv2d(c + (config.groups != "none"), c, 3, padding=1)
        layers[f"act{number}"] = nn.LeakyReLU(config.slope)
        layers["flatten"] = nn.Flatten()
        layers["feature"] = nn.Linear(16 * c, config.head_size)
        layers[f"act{number + 1}"] = nn.LeakyReLU(config.slope)
        layers["score"] = nn.Linear(config.head_size, 1)
        super().__init__(layers)
        self.config = config

    def block(self, index: int) -> nn.Sequential:
        """The modules that take features of 4 * 2**index pixels to the block below, or to the scores."""
        first = 2 * (len(self.config.channels) - 1 - index) + 1
        numbers = (str(first), str(first + 1))
        head = ("deviation", "flatten", "feature", "score") if index == 0 else ()
        return nn.Sequential(
            OrderedDict(
                (name, layer)
                for name, layer in self.named_children()
                if name in head or name.lstrip("abcdefghijklmnopqrstuvwxyz") in numbers
            )
        )


@torch.no_grad()
def record_statistic(critic: PgganCritic, images: Float[Tensor, "n c h w"]) -> float:
    """Set the minibatch deviation of eval mode to its mean over images, taken in their order, and return it.

    Nothing else changes, the mode of the critic neither. A critic without that channel is left as it is.

    Args:
        critic: with its weights.
        images: what it is meant to see, the more the steadier; a multiple of its group size.

    Raises:
        ShapeError: there is no image.
    """
    if not len(images):
        raise ShapeError("there is no image to take the minibatch deviation of; expected (n, c, h, w) with n >= 1")
    below: list[nn.Module] = []
    for layer in critic:
        if isinstance(layer, MinibatchDeviation):
            chunks = images.split(16 * layer.size)
            means = [layer.statistic(nn.Sequential(*below)(chunk)).sum() for chunk in chunks]
            layer.reference.copy_(torch.stack(means).sum() / len(images))
            return layer.reference.item()
        below.append(layer)
    return 0.0
