# SPDX-License-Identifier: MIT
"""DCGAN for images of 16, 32, 64, ... pixels: 4x4 kernels, transposed convolutions up and strided ones down.

Radford et al. 2016 as the PyTorch examples and pytorch_GAN_zoo build it. Batch norm stands after every
convolution of the generator but the last, and of the discriminator but the first and the last.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from torch import nn

from egbas.errors import ConfigError
from egbas.latent import LatentSpace

MAX_LAYERS = 9  # 4 * 2**9 = 2048 pixels


@dataclass(frozen=True, kw_only=True)
class RadfordConfig:
    """Settings of a ``RadfordGenerator``.

    Attributes:
        latent_size: d; the generator takes latents (n, d, 1, 1).
        channels: feature maps at 4, 8, 16, ... pixels; the image is twice as large as the last.
        image_channels: of the images.
        tanh: whether the images are bounded by it.
    """

    latent_size: int
    channels: tuple[int, ...]
    image_channels: int = 3
    tanh: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        _check(self.channels, self.latent_size, self.image_channels)

    @property
    def resolution(self) -> int:
        """Pixels a side of the images."""
        return 4 * 2 ** len(self.channels)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RadfordConfig":
        """Read what ``dataclasses.asdict`` and JSON made of a config.

        Raises:
            ConfigError: a setting is unknown, missing or out of its range.
        """
        return _from_json(cls, values)


@dataclass(frozen=True, kw_only=True)
class RadfordCriticConfig:
    """Settings of a ``RadfordCritic``.

    Attributes:
        channels: feature maps at 4, 8, 16, ... pixels, the order of the generator's.
        image_channels: of the images.
        sigmoid: whether the score is a probability.
    """

    channels: tuple[int, ...]
    image_channels: int = 3
    sigmoid: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        _check(self.channels, self.image_channels)

    @property
    def resolution(self) -> int:
        """Pixels a side of the images."""
        return 4 * 2 ** len(self.channels)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RadfordCriticConfig":
        """Read what ``dataclasses.asdict`` and JSON made of a config.

        Raises:
            ConfigError: a setting is unknown, missing or out of its range.
        """
        return _from_json(cls, values)


class RadfordGenerator(nn.Sequential):
    """Map latents (n, d, 1, 1) to images (n, image_channels, resolution, resolution).

    Layer l is ``conv{l}``, ``norm{l}``, ``relu{l}``; the boundaries are the zero sets of ``norm{l}``.

    Attributes:
        config: the settings.
        latent: where the inputs come from; set where the weights were trained with it.
        zoo_name: of the model it belongs to; set with the latent.
    """

    latent: LatentSpace
    zoo_name: str

    def __init__(self, config: RadfordConfig) -> None:
        """Build the generator."""
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        before = config.latent_size
        for number, c in enumerate(config.channels, 1):
            stride, padding = (1, 0) if number == 1 else (2, 1)
            layers[f"conv{number}"] = nn.ConvTranspose2d(before, c, 4, stride, padding, bias=False)
            layers[f"norm{number}"] = nn.BatchNorm2d(c)
            layers[f"relu{number}"] = nn.ReLU()
            before = c
        last = f"conv{len(config.channels) + 1}"
        layers[last] = nn.ConvTranspose2d(before, config.image_channels, 4, 2, 1, bias=False)
        if config.tanh:
            layers["tanh"] = nn.Tanh()
        super().__init__(layers)
        self.config = config


class RadfordCritic(nn.Sequential):
    """Map images to scores (n, 1); ``act1``, ``act2``, ... are its feature layers, from the highest resolution on."""

    def __init__(self, config: RadfordCriticConfig) -> None:
        """Build the critic."""
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        before = config.image_channels
        for number, c in enumerate(reversed(config.channels), 1):
            layers[f"conv{number}"] = nn.Conv2d(before, c, 4, 2, 1, bias=False)
            if number > 1:
                layers[f"norm{number}"] = nn.BatchNorm2d(c)
            layers[f"act{number}"] = nn.LeakyReLU(0.2)
            before = c
        layers["score"] = nn.Conv2d(before, 1, 4, bias=False)
        if config.sigmoid:
            layers["sigmoid"] = nn.Sigmoid()
        layers["flatten"] = nn.Flatten()
        super().__init__(layers)
        self.config = config


def _check(channels: tuple[int, ...], *sizes: int) -> None:
    if not 1 <= len(channels) <= MAX_LAYERS:
        raise ConfigError(f"channels has {len(channels)} entries; expected 1 to {MAX_LAYERS}")
    if min(*channels, *sizes) < 1:
        raise ConfigError(f"got sizes {sizes} and channels {channels}; expected 1 or more everywhere")


def _from_json(cls: Any, values: dict[str, Any]) -> Any:
    try:
        return cls(**{**values, "channels": tuple(values["channels"])})
    except (KeyError, TypeError) as error:
        raise ConfigError(f"these are no settings of a {cls.__name__} ({error})") from error
