# SPDX-License-Identifier: MIT
"""PGANs of pro_gan_pytorch, version 2.1: ``GAN_GEN_{d}.pth`` and ``GAN_DIS_{d}.pth`` beside it.

Names ``initial_block.conv_1.weight``; as version 3, but the latent is not normalised. Version 1 and 2.0
(``initial_block.conv_1.deconv.weight``) drew its scales at random and did not save them: those files are refused.
"""

import re
from pathlib import Path
from typing import Any

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprint, Blueprints, normal
from egbas.zoo.containers.content import Content, open_content
from egbas.zoo.formats.akanimax import keep_layers, read_critic, read_generator
from egbas.zoo.formats.pggan import Deviation
from egbas.zoo.formats.tensors import Tensors

NAME = "akanimax-v2"
# All of a batch is one group; a batch is at most this large.
DEVIATION = Deviation(groups="strided", group_size=2**16)


def matches(content: Content) -> bool:
    """Whether the names are those of the format."""
    return any(name.startswith("initial_block.conv_1.") for name in content.generator)


def read(content: Content) -> Blueprints:
    """Read the generator, and the discriminator from the file beside it where there is one.

    Raises:
        CheckpointError: the file is of version 1 or 2.0.
    """
    tensors = Tensors(stored=content.generator, what="generator")
    if "initial_block.conv_1.deconv.weight" in tensors.stored:
        raise CheckpointError(
            "it is of pro_gan_pytorch before 2.1, whose networks multiply with random numbers that were never saved; "
            "it cannot be rebuilt from the file. Pass the live network as --model package.module:callable"
        )
    n = tensors.resolutions(2 * tensors.count(r"layers\.(\d+)\.conv_1\.weight") + 2)
    used = min(n, trained_depth(content.path) or n)
    tensors = Tensors(stored=keep_layers(content.generator, range(used - 1)), what="generator")
    blocks = ["initial_block", *(f"layers.{i}" for i in range(used - 1))]
    generator = read_generator(tensors, blocks, latent_norm=False)
    beside = discriminator_beside(content.path)
    facts: dict[str, Any] = {"discriminator_file": beside.name} if beside is not None else {}
    if used < n:
        facts["left_out"] = f"layers above {generator.config.resolution} pixels, not trained yet by the file's name"
    return Blueprints(
        generator=generator,
        discriminator=_critic(beside, used) if beside is not None else None,
        latent=normal(generator.config.latent_size),
        facts=facts,
    )


def trained_depth(path: Path) -> int | None:
    """How many resolutions were trained when a file was saved; None where its name does not tell.

    The networks have all their layers from the start, and are saved after each resolution: GAN_GEN_0 is 4x4.
    """
    named = re.fullmatch(r"GAN_(?:GEN|DIS)(?:_SHADOW)?_(\d{1,2})\.\w+", path.name)
    return int(named[1]) + 1 if named else None


def discriminator_beside(path: Path) -> Path | None:
    """The discriminator's file of a generator's, in the same folder; None where there is none."""
    named = re.fullmatch(r"GAN_GEN(?:_SHADOW)?_(\d+)(\.\w+)", path.name)
    beside = path.with_name(f"GAN_DIS_{named[1]}{named[2]}") if named else None
    return beside if beside is not None and beside.is_file() else None


def _critic(path: Path, used: int) -> Blueprint:
    with open_content(path) as content:
        tensors = Tensors(stored=keep_layers(content.generator, range(used - 1)), what="discriminator")
        blocks = [*(f"layers.{i}" for i in reversed(range(used - 1))), "final_block"]
        return read_critic(tensors, blocks, (f"rgb_to_features.{used - 1}", False), DEVIATION)
