# SPDX-License-Identifier: MIT
"""PGANs of pytorch_GAN_zoo: ``formatLayer.module.weight``; older files leave out ``.module``.

The first layer is linear with one bias for each position, and all biases are scaled as their weights are, by
sqrt(2 / fan in). The file has ``netG``, ``netD``, the moving average ``avgG``, and a pickled configuration.
"""

import math
from typing import Any

from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprint, Blueprints, latent_shape, normal
from egbas.zoo.containers.content import Content
from egbas.zoo.formats.labels import labelled, notices
from egbas.zoo.formats.pggan import CriticLayers, Deviation, pggan_critic, pggan_generator
from egbas.zoo.formats.tensors import Conv, Tensors
from egbas.zoo.labelled import MAX_CLASSES

NAME = "pytorch_GAN_zoo-pgan"
FORMAT_LAYERS = ("formatLayer.module.weight", "formatLayer.weight")
TANH_LOSSES = ("MSE", "DCGAN")  # with these losses the generator ends in a tanh
SLOPE = 0.2
DEVIATION = Deviation(groups="consecutive", group_size=4, unbiased=True, alone=0.0)


def matches(content: Content) -> bool:
    """Whether the first layer is there, and is linear."""
    first = next((content.generator[name] for name in FORMAT_LAYERS if name in content.generator), None)
    return first is not None and len(first.shape) == 2


def read(content: Content) -> Blueprints:
    """Read both networks.

    Raises:
        CheckpointError: the network is conditional, or uses a setting that egbas does not know.
    """
    config = content.settings("config")
    n_labels = category_size(config)
    # A file stripped of its configuration has the published settings, as far as anyone can know.
    is_equalized = config.get("equalizedlR", True) is not False
    alpha, slope = _share(config, "alpha", 0.0), _share(config, "leakyReluLeak", SLOPE)
    has_norm = config.get("perChannelNormalization", True) is not False
    tensors = Tensors(stored=content.generator, what="generator")
    convs, rgbs = _generator(tensors, is_equalized, fading=alpha > 0)
    generator = pggan_generator(
        convs,
        rgbs[-1],
        output="tanh" if config.get("lossCriterion") in TANH_LOSSES else "none",
        slope=slope,
        latent_norm=has_norm,
        pixel_norm=has_norm,
        fading=(rgbs[0], alpha) if alpha else None,
    )
    facts: dict[str, Any] = {
        "configuration": "in the file" if config else "none in the file; the published settings are assumed"
    }
    if n_labels:
        generator = labelled(generator, n_labels)
        facts["labels"] = n_labels
    discriminator = None
    if content.discriminator is not None and alpha:
        facts["left_out"] = f"the discriminator, which is fading in its last resolution (alpha {alpha:g})"
    elif content.discriminator is not None and n_labels:
        facts["left_out"] = "the discriminator, which judges labels, too"
    elif content.discriminator is not None:
        stored = Tensors(stored=content.discriminator, what="discriminator")
        discriminator = _critic(stored, is_equalized, slope)
    return Blueprints(
        generator=generator,
        discriminator=discriminator,
        latent=normal(*latent_shape(generator)),
        facts=facts,
        notices=notices(generator),
    )


def category_size(config: dict[str, Any]) -> int:
    """How many values of labels the first layer takes behind the latent; 0: none.

    Raises:
        CheckpointError: it takes labels, and the configuration does not tell how many values they have.
    """
    labels, size = config.get("attribKeysOrder"), config.get("categoryVectorDim")
    if type(size) is int and 0 < size <= MAX_CLASSES:
        return size
    if labels or size:
        named = f": {', '.join(str(name)[:40] for name in list(labels)[:6])}" if isinstance(labels, dict) else ""
        raise CheckpointError(
            f"the network is conditional (it takes labels{named} behind its latent), and its configuration does not "
            "tell how many values they have. Load it with its own code, the labels fixed, and pass it as --model "
            "package.module:callable"
        )
    return 0


def _share(config: dict[str, Any], name: str, default: float) -> float:
    """A setting from 0 to below 1.

    Raises:
        CheckpointError: it is none; at 1 nothing of the last resolution would be seen.
    """
    value = config.get(name, default)
    if type(value) not in (int, float) or not 0 <= value < 1:
        raise CheckpointError(f"its setting {name} is {str(value)[:40]}; expected a number of at least 0 and below 1")
    return float(value)


def _generator(tensors: Tensors, is_equalized: bool, *, fading: bool) -> tuple[list[Conv], list[Conv]]:
    """All convolutions, and that to the image; while a resolution fades in, that of the one before comes first."""
    dot = _infix(tensors)
    n = tensors.resolutions(2 * tensors.count(rf"toRGBLayers\.(\d+)\.{dot}weight"))
    layers = [f"groupScale0.0.{dot}", *(f"scaleLayers.{k}.{number}.{dot}" for k in range(n - 1) for number in (0, 1))]
    if fading and n < 2:
        raise CheckpointError("the network has one resolution, and its setting alpha says that another fades in")
    rgbs = [f"toRGBLayers.{k}.{dot}" for k in range(n - 2 if fading else n - 1, n)]
    needed = [f"{layer}{name}" for layer in (f"formatLayer.{dot}", *layers, *rgbs) for name in ("weight", "bias")]
    tensors.check_names(needed, ignored=r"toRGBLayers\.\d+\.(module\.)?(weight|bias)")
    depth = tensors.sizes(f"groupScale0.0.{dot}weight", None, None, 3, 3)[0]
    w = tensors.load(f"formatLayer.{dot}weight", 16 * depth, None)
    b = tensors.load(f"formatLayer.{dot}bias", 16 * depth)
    w, b = _scaled(w, b, is_equalized)
    # Position (y, x) of the 4x4 output meets the latent, at the centre of its padding, at the mirrored position.
    first = w.view(depth, 4, 4, -1).permute(0, 3, 1, 2).flip(2, 3).contiguous()
    convs: list[Conv] = [(first, b.view(depth, 4, 4))]
    for layer in layers:
        convs.append(_layer(tensors, layer, 3, len(convs[-1][0]), is_equalized))
    widths = [len(convs[2 * k + 1][0]) for k in range(n)][-len(rgbs) :]
    return convs, [_layer(tensors, rgb, 1, width, is_equalized) for rgb, width in zip(rgbs, widths, strict=True)]


def _critic(tensors: Tensors, is_equalized: bool, slope: float) -> Blueprint:
    dot = _infix(tensors)
    n = tensors.resolutions(2 * tensors.count(rf"fromRGBLayers\.(\d+)\.{dot}weight"))
    pairs = [(f"scaleLayers.{k}.0.{dot}", f"scaleLayers.{k}.1.{dot}") for k in range(n - 1)]
    ends = (f"groupScaleZero.0.{dot}", f"groupScaleZero.1.{dot}", f"decisionLayer.{dot}")
    rgb = f"fromRGBLayers.{n - 1}.{dot}"
    needed = [f"{layer}{name}" for layer in (rgb, *(sum(pairs, ())), *ends) for name in ("weight", "bias")]
    tensors.check_names(needed, ignored=r"fromRGBLayers\.\d+\.(module\.)?(weight|bias)")
    from_rgb = _layer(tensors, rgb, 1, None, is_equalized)
    blocks: list[tuple[Conv, Conv]] = []
    width = len(from_rgb[0])
    for one, two in reversed(pairs):
        first = _layer(tensors, one, 3, width, is_equalized)
        second = _layer(tensors, two, 3, len(first[0]), is_equalized)
        blocks.append((first, second))
        width = len(second[0])
    final = _layer(tensors, ends[0], 3, None, is_equalized)
    feature = tensors.load(f"{ends[1]}weight", None, 16 * len(final[0]))
    score = tensors.load(f"{ends[2]}weight", None, len(feature))
    layers = CriticLayers(
        rgb=from_rgb,
        blocks=blocks,
        final=final,
        feature=_scaled(feature, tensors.load(f"{ends[1]}bias", len(feature)), is_equalized),
        score=_scaled(score, tensors.load(f"{ends[2]}bias", len(score)), is_equalized),
    )
    return pggan_critic(layers, DEVIATION, slope=slope)


def _infix(tensors: Tensors) -> str:
    return "module." if any(".module." in name for name in tensors.stored) else ""


def _layer(tensors: Tensors, layer: str, kernel: int, n_in: int | None, is_equalized: bool) -> Conv:
    w = tensors.load(f"{layer}weight", None, n_in, kernel, kernel)
    return _scaled(w, tensors.load(f"{layer}bias", len(w)), is_equalized)


def _scaled(weight: Tensor, bias: Tensor, is_equalized: bool) -> Conv:
    scale = math.sqrt(2 / weight[0].numel()) if is_equalized else 1.0
    return weight.mul_(scale), bias.mul_(scale)
