# SPDX-License-Identifier: MIT
"""Checkpoint formats, one file each: told apart by what they hold, read without running anything of them."""

from pathlib import Path
from typing import Protocol

from egbas.errors import CheckpointError
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
from egbas.zoo.formats.content import Content, open_content
from egbas.zoo.formats.parts import Parts


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
    def read(content: Content) -> Parts:
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


def read_checkpoint(path: Path) -> tuple[str, Parts]:
    """Read a checkpoint of any known format.

    Args:
        path: of the file.

    Returns:
        Name of the format, and what the file holds.

    Raises:
        CheckpointError: the file is missing, damaged, malicious, or of a format that is not read.
    """
    with open_content(path) as content:
        for format_ in FORMATS:
            if format_.matches(content):
                parts = format_.read(content)
                if content.generator_name:
                    parts.facts["weights_of"] = content.generator_name
                return format_.NAME, parts
        raise CheckpointError(refused.reason(content) or refused.describe(content))


__all__ = ["FORMATS", "Format", "Parts", "open_content", "read_checkpoint"]
