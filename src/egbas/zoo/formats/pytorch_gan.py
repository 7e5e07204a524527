# SPDX-License-Identifier: MIT
"""The DCGAN and the AC-GAN of PyTorch-GAN (eriklindernoren): ``l1.0.weight``, ``conv_blocks.2.weight``, ``label_emb``.

A linear layer, then two blocks that double the resolution. The names and the widths are those of its code, and so are
taken the settings that no state dict tells: leaky ReLUs of 0.2, batch norms whose epsilon is 0.8 but for the first.
"""

import math
from typing import Any

from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprint, Blueprints, latent_shape, normal
from egbas.zoo.containers.content import Content
from egbas.zoo.formats.labels import labelled, notices
from egbas.zoo.formats.radford_layers import NORM, read_norm
from egbas.zoo.formats.tensors import Tensors
from egbas.zoo.sequential import SequentialConfig

NAME = "PyTorch-GAN"
TABLE = "label_emb.weight"
CONVS, NORMS = (2, 6, 9), {0: 1e-5, 3: 0.8, 7: 0.8}  # by their numbers in conv_blocks; the epsilon of each norm
MOST_CHANNELS = 4  # of an image
NOTICE = (
    "The checkpoint file does not tell the settings; they are taken as those of PyTorch-GAN: leaky ReLUs of 0.2, batch "
    "norms with an epsilon of 0.8 but for the first, tanh at the end."
)
UNUSED = "Its SGAN has the same tensors and makes no use of the labels; load that one with its own code."


def matches(content: Content) -> bool:
    """Whether the names are those of the format, and the last layer gives an image."""
    stored = content.generator
    needed = {f"l1.0.{name}" for name in ("weight", "bias")}
    needed |= {f"conv_blocks.{number}.{name}" for number in CONVS for name in ("weight", "bias")}
    needed |= {f"conv_blocks.{number}.{name}" for number in NORMS for name in NORM}
    others = {name for name in stored if not name.endswith(".num_batches_tracked")} - {TABLE}
    last = stored.get(f"conv_blocks.{CONVS[-1]}.weight")
    is_image = last is not None and len(last.shape) == 4 and last.shape[0] <= MOST_CHANNELS
    return others == needed and is_image and content.generator_name not in content.modules


def read(content: Content) -> Blueprints:
    """Read the generator.

    Raises:
        CheckpointError: its first layer makes no square image, or a tensor has another shape.
    """
    tensors = Tensors(stored=content.generator, what="generator")
    n_values, latent = tensors.sizes("l1.0.weight", None, None)
    width = tensors.sizes("conv_blocks.0.weight", None)[0]
    side = math.isqrt(n_values // width)
    if width * side * side != n_values:
        raise CheckpointError(
            f"its first layer makes {n_values} values of {width} channels; expected a square image of these channels"
        )
    weights: dict[str, Tensor] = {
        "linear1.weight": tensors.load("l1.0.weight", n_values, latent),
        "linear1.bias": tensors.load("l1.0.bias", n_values),
    }
    layers: list[dict[str, Any]] = [
        _layer("linear1", "linear", in_features=latent, out_features=n_values, bias=True),
        _layer("square", "unflatten", shape=[width, side, side]),
    ]
    for number in range(CONVS[-1] + 1):
        name, stored = f"layer{number}", f"conv_blocks.{number}"
        if number in NORMS:
            weights |= read_norm(tensors, stored, name, width)
            layers.append(_layer(name, "batch_norm", num_features=width, eps=NORMS[number]))
        elif number in CONVS:
            before, width = width, tensors.sizes(f"{stored}.weight", None, width, 3, 3)[0]
            weights[f"{name}.weight"] = tensors.load(f"{stored}.weight", width, before, 3, 3)
            weights[f"{name}.bias"] = tensors.load(f"{stored}.bias", width)
            sizes = {"in_channels": before, "out_channels": width, "kernel_size": 3, "stride": 1, "padding": 1}
            layers.append(_layer(name, "conv", **sizes, bias=True))
        elif number - 1 in NORMS and number > 1:
            layers.append(_layer(name, "activation", function="leaky_relu:0.2"))
        else:
            layers.append(_layer(name, "upsample", scale_factor=2, mode="nearest"))
    layers.append(_layer("output", "activation", function="tanh"))
    config = SequentialConfig(latent=(latent,), layers=tuple(layers))
    generator = Blueprint(architecture="sequential-generator", config=config, weights=weights)
    has_labels = TABLE in content.generator
    if has_labels:
        rows = tensors.load(TABLE, None, latent)
        generator = labelled(generator, len(rows), rows)
    return Blueprints(
        generator=generator,
        latent=normal(*latent_shape(generator)),
        notices=(NOTICE, *notices(generator), *([UNUSED] if has_labels else [])),
    )


def _layer(name: str, kind: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, **settings}
