# SPDX-License-Identifier: MIT
"""The DCGAN of the PyTorch examples: ``netG_epoch_N.pth`` with ``main.0.weight``, ``netD_epoch_N.pth`` beside it."""

import re
from pathlib import Path

from egbas.zoo.blueprint import Blueprint, Blueprints, normal
from egbas.zoo.containers.content import Content, open_content
from egbas.zoo.formats.radford_layers import critic as read_critic
from egbas.zoo.formats.radford_layers import generator as read_generator
from egbas.zoo.formats.tensors import Tensors

NAME = "pytorch-examples-dcgan"


def matches(content: Content) -> bool:
    """Whether the names are those of the format."""
    first = content.generator.get("main.0.weight")
    return first is not None and len(first.shape) == 4 and "main.1.running_mean" in content.generator


def read(content: Content) -> Blueprints:
    """Read the generator, and the discriminator from the file beside it where there is one."""
    tensors = Tensors(stored=content.generator, what="generator")
    n = tensors.count(r"main\.(\d+)\.weight") // 3  # convolution, norm, ReLU; the last convolution stands alone
    convs = [f"main.{3 * i}" for i in range(n + 1)]
    norms = [f"main.{3 * i + 1}" for i in range(n)]
    generator = read_generator(tensors, convs, norms, tanh=True)
    beside = discriminator_beside(content.path)
    return Blueprints(
        generator=generator,
        discriminator=_critic(beside) if beside is not None else None,
        latent=normal(generator.config.latent_size, 1, 1),
        facts={"discriminator_file": beside.name} if beside is not None else {},
    )


def discriminator_beside(path: Path) -> Path | None:
    """The discriminator's file of a generator's, in the same folder; None where there is none."""
    named = re.fullmatch(r"netG(_epoch_\d+)?(\.\w+)", path.name)
    beside = path.with_name(f"netD{named[1] or ''}{named[2]}") if named else None
    return beside if beside is not None and beside.is_file() else None


def _critic(path: Path) -> Blueprint:
    with open_content(path) as content:
        tensors = Tensors(stored=content.generator, what="discriminator")
        n = (tensors.count(r"main\.(\d+)\.weight") + 1) // 3
        convs = ["main.0", *(f"main.{3 * i + 2}" for i in range(n))]
        norms = [f"main.{3 * i}" for i in range(1, n)]
        return read_critic(tensors, convs, norms, sigmoid=True)
