# SPDX-License-Identifier: MIT
"""Checkpoint formats, one file each: told apart by what they hold, read without running anything of them."""

import struct
import zipfile
from pathlib import Path
from typing import Protocol

from torch import nn

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprints
from egbas.zoo.containers.content import Content, open_content
from egbas.zoo.formats import (
    akanimax,
    akanimax_v2,
    examples_dcgan,
    gan_zoo,
    gan_zoo_dcgan,
    gandissect,
    genforce,
    interfacegan,
    own,
    ptrblck,
    refused,
    tkarras,
)


class Format(Protocol):
    """A checkpoint format."""

    @property
    def NAME(self) -> str:
        """What ``egbas inspect`` calls it."""
        ...

    @staticmethod
    def matches(content: Content) -> bool:
        """Whether a file is of this format, told by names and shapes alone."""
        ...

    @staticmethod
    def read(content: Content) -> Blueprints:
        """Read the networks of a file that matches."""
        ...


FORMATS: tuple[Format, ...] = (
    own,
    gandissect,
    ptrblck,
    interfacegan,
    genforce,
    gan_zoo,
    gan_zoo_dcgan,
    akanimax_v2,
    akanimax,
    tkarras,
    examples_dcgan,
)
# What damaged content raises in code that reads it, where no check of a format foresaw the damage.
DAMAGE = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError),
    *(EOFError, struct.error, zipfile.BadZipFile),
)


def read_checkpoint(path: Path) -> tuple[str, Blueprints]:
    """Read a checkpoint of any known format.

    Args:
        path: of the file.

    Returns:
        Name of the format, and what the file holds.

    Raises:
        CheckpointError: the file is missing, damaged, malicious, or of a format that is not read.
    """
    try:
        with open_content(path) as content:
            return _read(content)
    except CheckpointError:
        raise
    except DAMAGE as error:  # nothing is built here: what is wrong with a network itself is not among them
        raise CheckpointError(
            f"{path}: it is damaged, or of no known layout ({type(error).__name__}: {str(error)[:200]}); get it again"
        ) from error


def _read(content: Content) -> tuple[str, Blueprints]:
    for format_ in FORMATS:
        if format_.matches(content):
            blueprints = format_.read(content)
            if content.generator_name:
                blueprints.facts["weights_of"] = content.generator_name
            return format_.NAME, blueprints
    raise CheckpointError(refused.reason(content) or refused.describe(content))


def build_networks(path: Path, blueprints: Blueprints) -> tuple[nn.Module, nn.Module | None]:
    """Build what was read of a checkpoint.

    Args:
        path: of the file, for the message.
        blueprints: of its networks.

    Returns:
        Generator, and discriminator where there is one, in eval mode.

    Raises:
        CheckpointError: the weights are not those of the architecture; the message starts with the path.
    """
    try:
        return (
            blueprints.generator.build(),
            blueprints.discriminator.build() if blueprints.discriminator is not None else None,
        )
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


__all__ = ["FORMATS", "Blueprints", "Format", "build_networks", "open_content", "read_checkpoint"]
