# SPDX-License-Identifier: MIT
"""Which PGGAN it is: channels, and the flags in which the implementations in use differ.

In: values or the dict of a model card. Out: checked settings; ``dataclasses.asdict`` takes them back to JSON.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal

from egbas.errors import ConfigError

MAX_BLOCKS = 9  # 4 * 2**8 = 1024 pixels


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Settings of a ``PgganGenerator``.

    Attributes:
        latent_size: d, the length of a latent vector.
        channels: feature maps at 4, 8, 16, ... pixels, one entry a resolution; both layers there have them.
        image_channels: of the images: 1 for grey, 3 for RGB.
        latent_norm: pixel norm of the latent; makes G(s z) = G(z) for every s > 0.
        first_norm: pixel norm at the first layer, as at all others.
        norm_place: pixel norm ``"after"`` or ``"before"`` the activation.
        positional_bias: the first layer's bias is (channels, 4, 4), one value a position.
        output: what bounds the images: ``"none"``, ``"tanh"`` or ``"hardtanh"`` (clamped to [-1, 1]).
        slope: of the leaky ReLUs below zero.
        pixel_norm: whether there is any pixel norm after the latent's.
        fading: share of the images of the resolution before, enlarged, while the last one fades in; 0 where it is
            there in full. The network is then no chain: both images branch off before its last block.
    """

    latent_size: int
    channels: tuple[int, ...]
    image_channels: int = 3
    latent_norm: bool = True
    first_norm: bool = True
    norm_place: Literal["after", "before"] = "after"
    positional_bias: bool = False
    output: Literal["none", "tanh", "hardtanh"] = "none"
    slope: float = 0.2
    pixel_norm: bool = True
    fading: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        _refuse_bad_sizes(self.channels, latent_size=self.latent_size, image_channels=self.image_channels)
        _refuse_unknown("norm_place", self.norm_place, ("after", "before"))
        _refuse_no_share(slope=self.slope, fading=self.fading)
        if self.fading and len(self.channels) < 2:
            raise ConfigError(f"fading {self.fading:g} needs a resolution before the last; channels has one entry")
        _refuse_unknown("output", self.output, ("none", "tanh", "hardtanh"))

    @property
    def resolution(self) -> int:
        """Pixels a side of the images."""
        return 4 * 2 ** (len(self.channels) - 1)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "GeneratorConfig":
        """Read what ``dataclasses.asdict`` and JSON made of a config.

        Raises:
            ConfigError: a setting is unknown, missing or out of its range.
        """
        return _from_json(cls, values)


@dataclass(frozen=True, kw_only=True)
class CriticConfig:
    """Settings of a ``PgganCritic``.

    Attributes:
        channels: feature maps at 4, 8, 16, ... pixels, one entry a resolution, the order of the generator's.
        head_channels: length of the feature vector before the score; None for ``channels[0]``.
        image_channels: of the images.
        input_activation: whether a leaky ReLU follows the 1 x 1 convolution that reads the image.
        pooling: average pooling ``"after"`` the activation, or ``"before"`` it, as where convolution and
            pooling are fused (there the bias comes after the pooling, which is the same).
        groups: images of a group of the minibatch deviation: ``"consecutive"`` ones, ``"strided"`` ones (image
            i with all i + k n / size), or ``"none"`` where there is no such channel.
        group_size: images in a group.
        unbiased: whether the variance in a group divides by size - 1.
        slope: of the leaky ReLUs below zero.
    """

    channels: tuple[int, ...]
    head_channels: int | None = None
    image_channels: int = 3
    input_activation: bool = True
    pooling: Literal["after", "before"] = "after"
    groups: Literal["consecutive", "strided", "none"] = "consecutive"
    group_size: int = 4
    unbiased: bool = False
    slope: float = 0.2

    def __post_init__(self) -> None:
        """Check the settings."""
        head_channels = 1 if self.head_channels is None else self.head_channels
        _refuse_bad_sizes(self.channels, head_channels=head_channels, image_channels=self.image_channels)
        _refuse_no_share(slope=self.slope)
        _refuse_unknown("pooling", self.pooling, ("after", "before"))
        _refuse_unknown("groups", self.groups, ("consecutive", "strided", "none"))
        if self.group_size < 2:
            raise ConfigError(f"group_size {self.group_size} leaves nothing to compare; expected 2 or more")

    @property
    def resolution(self) -> int:
        """Pixels a side of the images."""
        return 4 * 2 ** (len(self.channels) - 1)

    @property
    def head_size(self) -> int:
        """Length of the feature vector before the score."""
        return self.channels[0] if self.head_channels is None else self.head_channels

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "CriticConfig":
        """Read what ``dataclasses.asdict`` and JSON made of a config.

        Raises:
            ConfigError: a setting is unknown, missing or out of its range.
        """
        return _from_json(cls, values)


def _from_json(cls: Any, values: dict[str, Any]) -> Any:
    known = {field.name for field in fields(cls)}
    if unknown := sorted(values.keys() - known):
        raise ConfigError(f"unknown settings {', '.join(unknown)}; expected some of {', '.join(sorted(known))}")
    try:
        return cls(**{**values, "channels": tuple(values["channels"])})
    except (KeyError, TypeError) as error:
        raise ConfigError(f"the settings {values} are no {cls.__name__} ({error})") from error


def _refuse_bad_sizes(channels: tuple[int, ...], **sizes: int) -> None:
    if not 1 <= len(channels) <= MAX_BLOCKS:
        raise ConfigError(
            f"channels has {len(channels)} entries; "
            f"expected one for each of 4, 8, 16, ... pixels, at most {MAX_BLOCKS} (1024 pixels)"
        )
    bad = {name: size for name, size in [("channels", min(channels)), *sizes.items()] if size < 1}
    if bad:
        raise ConfigError(f"{', '.join(f'{name} {size}' for name, size in bad.items())}: expected 1 or more")


def _refuse_no_share(**shares: float) -> None:
    for name, share in shares.items():
        if not isinstance(share, int | float) or not 0 <= share < 1:
            raise ConfigError(f"{name} {str(share)[:60]} is out of range; expected a number of at least 0 and below 1")


def _refuse_unknown(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} {value!r} is unknown; expected one of {', '.join(map(repr, known))}")
