# SPDX-License-Identifier: MIT
"""The DCGAN of the PyTorch examples: ``netG_epoch_N.pth`` with ``main.0.weight``, ``netD_epoch_N.pth`` beside it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprint, Blueprints, normal
from egbas.zoo.containers.content import Content, open_content
from egbas.zoo.containers.stored import StoredTensor
from egbas.zoo.formats.labels import holds_ten_labels
from egbas.zoo.formats.radford_layers import critic as read_critic
from egbas.zoo.formats.radford_layers import generator as read_generator
from egbas.zoo.formats.tensors import Tensors

NAME = "pytorch-examples-dcgan"


def matches(content: Content) -> bool:
    """Whether the names are those of the format, with their numbers; ``sequential.py`` reads its variants."""
    stored = content.generator
    if not all(name.startswith("main.") for name in stored):
        return False
    weights = {name for name in stored if re.fullmatch(r"main\.\d{1,3}\.weight", name)}
    n = (len(weights) + 1) // 2  # each convolution but the last has a norm
    regular = {f"main.{3 * i + kind}.weight" for i in range(n) for kind in (0, 1)} - {f"main.{3 * n - 2}.weight"}
    first = stored.get("main.0.weight")
    has_norm = "main.1.running_mean" in stored
    is_conv = first is not None and len(first.shape) == 4 and has_norm
    is_plain = not any(name.removesuffix("bias") + "weight" in regular and _is_conv(stored, name) for name in stored)
    doubles = all(stored[name].shape[2:] == (4, 4) for name in weights if len(stored[name].shape) == 4)
    labels = first is not None and holds_ten_labels(first.shape[0])  # as an input: ``sequential.py``
    is_told = not labels and content.activation is None and content.generator_name not in content.modules
    return is_conv and weights == regular and is_plain and doubles and is_told


def _is_conv(stored: Mapping[str, StoredTensor], bias: str) -> bool:
    """Whether a name is that of a convolution's bias, which the format does not have."""
    weight = stored[bias.removesuffix("bias") + "weight"] if bias.endswith("bias") else None
    return weight is not None and len(weight.shape) == 4


def read(content: Content) -> Blueprints:
    """Read the generator, and the discriminator from the file beside it where there is one."""
    tensors = Tensors(stored=content.generator, what="generator")
    n = tensors.count(r"main\.(\d+)\.weight") // 3  # convolution, norm, ReLU; the last convolution stands alone
    convs = [f"main.{3 * i}" for i in range(n + 1)]
    norms = [f"main.{3 * i + 1}" for i in range(n)]
    generator = read_generator(tensors, convs, norms, tanh=True)
    discriminator, facts = read_discriminator(content)
    return Blueprints(
        generator=generator,
        discriminator=discriminator,
        latent=normal(generator.config.latent_size, 1, 1),
        facts=facts,
    )


def read_discriminator(content: Content) -> tuple[Blueprint | None, dict[str, Any]]:
    """The discriminator of the file beside, or of the same file; and what to tell of it."""
    beside = discriminator_beside(content.path)
    if beside is not None:
        with open_content(beside) as other:
            return _critic(other.generator), {"discriminator_file": beside.name}
    if content.discriminator is None:
        return None, {}
    try:
        return _critic(content.discriminator), {}
    except CheckpointError as error:
        return None, {"left_out": f"the discriminator {content.discriminator_name!r}: {str(error)[:200]}"}


def discriminator_beside(path: Path) -> Path | None:
    """The discriminator's file of a generator's, in the same folder; None where there is none."""
    named = re.fullmatch(r"netG(_epoch_\d+)?(\.\w+)", path.name)
    beside = path.with_name(f"netD{named[1] or ''}{named[2]}") if named else None
    return beside if beside is not None and beside.is_file() else None


def _critic(stored: Mapping[str, StoredTensor]) -> Blueprint:
    tensors = Tensors(stored=stored, what="discriminator")
    n = (tensors.count(r"main\.(\d+)\.weight") + 1) // 3
    convs = ["main.0", *(f"main.{3 * i + 2}" for i in range(n))]
    norms = [f"main.{3 * i}" for i in range(1, n)]
    return read_critic(tensors, convs, norms, sigmoid=True)
