# SPDX-License-Identifier: MIT
"""A PGGAN as plain convolutions: what its formats read, and how it becomes a blueprint."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprint
from egbas.zoo.formats.tensors import Conv, Tensors
from egbas.zoo.pggan import PgganConfig, PgganCriticConfig

ALONE = 1e-4  # minibatch deviation of one image where nothing but the root's 1e-8 is left


def pggan_generator(  # noqa: PLR0913  each is a setting of the network
    convs: Sequence[Conv],
    rgb: Conv,
    *,
    latent_norm: bool = True,
    first_norm: bool = True,
    output: Literal["none", "tanh", "hardtanh"] = "none",
    slope: float = 0.2,
    pixel_norm: bool = True,
    fading: tuple[Conv, float] | None = None,
) -> Blueprint:
    """A PGGAN's generator of plain convolutions, two for each resolution from 4 pixels up.

    Args:
        convs: (W, b); the first is 4x4, and its b may be one value for each position, (c, 4, 4).
        rgb: the 1x1 convolution to the image.
        latent_norm: see ``PgganConfig``, as the others.
        first_norm: see there.
        output: see there.
        slope: see there.
        pixel_norm: see there.
        fading: the 1x1 convolution to the image of the resolution before, and the share of that image; None where
            the last resolution is there in full.

    Raises:
        CheckpointError: the two layers of a resolution are not of one width.
    """
    channels = tuple(len(w) for w, _ in convs[::2])
    if channels != tuple(len(w) for w, _ in convs[1::2]):
        raise CheckpointError("two layers of one resolution have different numbers of channels; egbas cannot read that")
    is_positional = convs[0][1].ndim == 3
    weights = {f"conv{i}.{parameter}": value for i, conv in enumerate(convs, 1) for parameter, value in _named(conv)}
    if is_positional:
        weights["offset1.bias"] = weights.pop("conv1.bias")
    if fading is not None:
        moved = f"conv{len(convs) - 1}.", f"conv{len(convs)}."
        weights = {f"fade.block.{name}" if name.startswith(moved) else name: value for name, value in weights.items()}
        weights |= {f"fade.rgb_before.{parameter}": value for parameter, value in _named(fading[0])}
    place = "" if fading is None else "fade."
    weights |= {f"{place}rgb.{parameter}": value for parameter, value in _named(rgb)}
    config = PgganConfig(
        latent_size=convs[0][0].shape[1],
        channels=channels,
        image_channels=len(rgb[0]),
        latent_norm=latent_norm,
        first_norm=first_norm,
        positional_bias=is_positional,
        output=output,
        slope=slope,
        pixel_norm=pixel_norm,
        fading=0.0 if fading is None else fading[1],
    )
    return Blueprint(architecture="pggan-generator", config=config, weights=weights)


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """How a format computes the minibatch deviation; see ``PgganCriticConfig``.

    Attributes:
        groups: which images form a group.
        group_size: images in a group.
        unbiased: whether the variance divides by size - 1.
        alone: of one image on its own. It is used for every image, so that no feature depends on the batch.
    """

    groups: Literal["consecutive", "strided"]
    group_size: int
    unbiased: bool = False
    alone: float = ALONE


@dataclass(frozen=True, kw_only=True, eq=False)
class CriticLayers:
    """A PGGAN's discriminator as plain convolutions.

    Attributes:
        rgb: the 1x1 convolution of the image.
        blocks: two (W, b) for each resolution above 4 pixels, the highest first.
        final: the 3x3 convolution at 4 pixels; it may take one channel more, the minibatch deviation.
        feature: the linear layer to the features, (n, 16 c) in the order c, h, w.
        score: the linear layer to the score.
    """

    rgb: Conv
    blocks: Sequence[tuple[Conv, Conv]]
    final: Conv
    feature: Conv
    score: Conv


def pggan_critic(
    layers: CriticLayers,
    deviation: Deviation,
    *,
    input_activation: bool = True,
    pooling: Literal["after", "before"] = "after",
    slope: float = 0.2,
) -> Blueprint:
    """A PGGAN's discriminator.

    Args:
        layers: its weights.
        deviation: how the format computes it, if the layers have a channel for it.
        input_activation: see ``PgganCriticConfig``, as the next.
        pooling: see there.
        slope: see there.

    Raises:
        CheckpointError: the layers do not follow on one another, or there is more than one score.
    """
    channels = (*(len(two[0]) for _, two in reversed(layers.blocks)), len(layers.rgb[0]))
    n_in, width = layers.final[0].shape[1], channels[0]
    if n_in not in (width, width + 1) or len(layers.final[0]) != width:
        raise CheckpointError(
            f"the last convolution of the discriminator maps {n_in} to {len(layers.final[0])} channels; "
            f"expected {width} (or {width + 1}, with the minibatch deviation) to {width}"
        )
    if len(layers.score[0]) != 1:
        raise CheckpointError(
            f"the discriminator gives {len(layers.score[0])} numbers, so the network is conditional (it takes labels); "
            "egbas does not read those"
        )
    has_deviation = n_in == width + 1
    convs = [*(conv for pair in layers.blocks for conv in pair), layers.final]
    named = {f"conv{i}": conv for i, conv in enumerate(convs, 1)}
    named |= {"rgb": layers.rgb, "feature": layers.feature, "score": layers.score}
    weights = {f"{name}.{parameter}": value for name, conv in named.items() for parameter, value in _named(conv)}
    if has_deviation:
        weights["deviation.reference"] = torch.tensor(deviation.alone, dtype=torch.float32)
    config = PgganCriticConfig(
        channels=channels,
        head_channels=len(layers.feature[0]),
        image_channels=layers.rgb[0].shape[1],
        input_activation=input_activation,
        pooling=pooling,
        groups=deviation.groups if has_deviation else "none",
        group_size=deviation.group_size,
        unbiased=deviation.unbiased,
        slope=slope,
    )
    return Blueprint(architecture="pggan-critic", config=config, weights=weights)


def read_generator(tensors: Tensors, layers: Sequence[tuple[str, str]], rgb: tuple[str, str]) -> Blueprint:
    """Read a PGGAN whose layers are ordinary convolutions with scales gain / sqrt(fan in).

    Args:
        tensors: of the generator; all of them belong to the layers or to ``rgb``.
        layers: names of weight and bias, in the order of the forward pass.
        rgb: names of weight and bias.
    """
    tensors.check_names([name for pair in [*layers, rgb] for name in pair])
    convs: list[Conv] = [tensors.conv(*layers[0], 4)]
    for weight, bias in layers[1:]:
        convs.append(tensors.conv(weight, bias, 3, len(convs[-1][0])))
    return pggan_generator(convs, tensors.conv(*rgb, 1, len(convs[-1][0]), gain=1.0))


def _named(conv: Conv) -> list[tuple[str, Tensor]]:
    return [("weight", conv[0]), ("bias", conv[1])]
