# SPDX-License-Identifier: MIT
"""A PGGAN while it grows: the finished network with a way in or out at every resolution (Karras et al. 2018).

In: the plain networks of the zoo. Out: the same networks with learning rates equalised, run up to one
resolution, which is faded in; ``finish`` takes the plain network out again.
"""

import copy
import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from egbas.zoo.pggan import PgganCritic, PgganGenerator
from egbas.zoo.pggan.layers import SLOPE

Plain = TypeVar("Plain", bound=nn.Module)


class Equalised(nn.Module):
    """Scale a weight at run time, so that Adam's steps are alike for all layers (section 4.1)."""

    def __init__(self, scale: float) -> None:
        """Take the scale: gain over the root of the number of inputs."""
        super().__init__()
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """Scale the trained weight."""
        return weight * self.scale


class GrowingGenerator(nn.Module):
    """Make images of 4 * 2**stage pixels; at alpha < 1 blended with those of the stage before, enlarged.

    Attributes:
        stage: index of the block that the images come from.
        alpha: share of the newest block in the images, 0..1; 1 at stage 0.
    """

    def __init__(self, finished: PgganGenerator) -> None:
        """Start at 4 x 4; the network is taken over, its weights drawn anew from N(0, 1), its biases zero."""
        super().__init__()
        config = finished.config
        self.finished = finished
        self.heads = nn.ModuleList(nn.Conv2d(c, config.image_channels, 1) for c in config.channels[:-1])
        self.stage, self.alpha = 0, 1.0
        self._blocks = [finished.block(index) for index in range(len(config.channels))]
        equalise(self, plain=[finished.get_submodule("rgb"), *self.heads])

    def forward(self, z: Tensor) -> Tensor:
        """Map latents (n, d) to images (n, c, h, w)."""
        x = before = z
        for block in self._blocks[: self.stage + 1]:
            before, x = x, block(x)
        image = self._head(self.stage)(x)
        if self.alpha < 1:
            image = torch.lerp(enlarge(self._head(self.stage - 1)(before)), image, self.alpha)
        return self.finished.get_submodule("output")(image) if self.finished.config.output != "none" else image

    def _head(self, stage: int) -> nn.Module:
        return self.heads[stage] if stage < len(self.heads) else self.finished.get_submodule("rgb")


class GrowingCritic(nn.Module):
    """Score images of 4 * 2**stage pixels; at alpha < 1 the newest block is blended with one that reads them shrunk.

    Attributes:
        stage: index of the block that reads the images.
        alpha: share of the newest block, 0..1; 1 at stage 0.
    """

    def __init__(self, finished: PgganCritic) -> None:
        """Start at 4 x 4; the network is taken over, its weights drawn anew from N(0, 1), its biases zero."""
        super().__init__()
        config = finished.config
        self.finished = finished
        self.readers = nn.ModuleList(nn.Conv2d(config.image_channels, c, 1) for c in config.channels[:-1])
        self.stage, self.alpha = 0, 1.0
        self._blocks = [finished.block(index) for index in range(len(config.channels))]
        equalise(self, plain=[finished.get_submodule("score")])

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, c, h, w) to scores (n, 1)."""
        x = self._blocks[self.stage](self._read(images, self.stage))
        if self.alpha < 1:
            x = torch.lerp(self._read(shrink(images, 2), self.stage - 1), x, self.alpha)
        for block in reversed(self._blocks[: self.stage]):
            x = block(x)
        return x

    def _read(self, images: Tensor, stage: int) -> Tensor:
        reader = self.readers[stage] if stage < len(self.readers) else self.finished.get_submodule("rgb")
        x = reader(images)
        return F.leaky_relu(x, SLOPE) if self.finished.config.input_activation else x


def enlarge(images: Tensor) -> Tensor:
    """Double the resolution, each pixel to 2 x 2."""
    return F.interpolate(images, scale_factor=2.0, mode="nearest")


def shrink(images: Tensor, factor: int) -> Tensor:
    """Take means over squares of factor x factor pixels."""
    return F.avg_pool2d(images, factor) if factor > 1 else images


def equalise(module: nn.Module, plain: list[nn.Module]) -> None:
    """Draw every weight from N(0, 1) and scale it at run time by its gain / sqrt(inputs); biases are zero.

    Args:
        module: with convolutions and linear layers; changed in place.
        plain: those of its layers that no activation follows: gain 1. It is sqrt(2) for the others.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            gain = 1.0 if layer in plain else math.sqrt(2)
            nn.init.normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            scale = gain / math.sqrt(layer.weight[0].numel())
            parametrize.register_parametrization(layer, "weight", Equalised(scale))


def fold(module: Plain) -> Plain:
    """Copy a module with the scales of ``equalise`` in its weights, contiguous, frozen and in eval mode."""
    plain = copy.deepcopy(module)
    for layer in list(plain.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    plain.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    return plain.eval().requires_grad_(False)
