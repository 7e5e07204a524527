# SPDX-License-Identifier: MIT
"""Checkpoint formats, one file each: told apart by what they hold, read without running anything of them."""

import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import nn

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprints
from egbas.zoo.containers.content import Content, open_content
from egbas.zoo.containers.networks import (
    DISCRIMINATORS,
    GENERATOR_WORDS,
    groups,
    is_discriminator,
    ranked,
    words,
)
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
    pickled,
    ptrblck,
    pytorch_gan,
    refused,
    sequential,
    tkarras,
)


@runtime_checkable
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
    pickled,
    examples_dcgan,
    pytorch_gan,
    sequential,
)
MAX_LEVELS = 3  # of names of modules within modules
# What damaged content raises in code that reads it, where no check of a format foresaw the damage.
DAMAGE = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError),
    *(EOFError, struct.error, zipfile.BadZipFile),
)


def read_checkpoint(path: Path, *, key: str | None = None, activation: str | None = None) -> tuple[str, Blueprints]:
    """Read a checkpoint of any known format.

    Args:
        path: of the file, or of a folder with an index of several.
        key: of the network to generate with, where there are several.
        activation: of the network, where the file does not tell it; see ``sequential.py``.

    Returns:
        Name of the format, and what the file holds.

    Raises:
        CheckpointError: the file is missing, damaged, malicious, or of a format that is not read.
    """
    try:
        with open_content(path) as content:
            return _read(replace(content, activation=activation), key)
    except CheckpointError:
        raise
    except DAMAGE as error:  # nothing is built here: what is wrong with a network itself is not among them
        raise CheckpointError(
            f"{path}: it is damaged, or of no known layout ({type(error).__name__}: {str(error)[:200]}); get it again"
        ) from error


def _read(content: Content, key: str | None) -> tuple[str, Blueprints]:
    format_, content = _fitting(content, key)
    if content.activation is not None and format_ is not sequential:
        raise CheckpointError(
            f"its format is {format_.NAME}, whose activations are known; leave --activation (activation=) out"
        )
    blueprints = _networks(format_, content)
    if format_ is not own:
        if content.generator_name:
            blueprints.facts["weights_of"] = content.generator_name
        if content.code:
            more = f" and {len(content.code) - 4} more" if len(content.code) > 4 else ""
            blueprints.facts["not_run"] = f"Python code that it names: {', '.join(content.code[:4])}{more}"
    return format_.NAME, blueprints


def _networks(format_: Format, content: Content) -> Blueprints:
    """Read both networks; a discriminator of no usual name that does not belong to the format is left out."""
    name = content.discriminator_name
    try:
        return format_.read(content)
    except CheckpointError as error:
        if name is None or name in DISCRIMINATORS:
            raise
        blueprints = format_.read(content.alone())
        blueprints.facts["left_out"] = f"the discriminator {name!r}: {str(error)[:200]}"
        return blueprints


def _fitting(content: Content, key: str | None) -> tuple[Format, Content]:
    """The format of a file, and the network to generate with: the likeliest of those that are of some format.

    Raises:
        CheckpointError: there is none, or several are equally likely.
    """
    if key is not None:
        apart = next((format_ for format_ in (own, tkarras) if format_.matches(content)), None)
        if apart is not None:
            raise CheckpointError(f"its format is {apart.NAME}, which tells its networks apart; leave --key out")
        chosen = content.choose(key)
        format_ = _format(chosen)
        if format_ is None:
            raise CheckpointError(refused.describe(chosen))
        return format_, chosen
    for names in ranked(content.states) if content.states else [[""]]:
        found = [(format_, here) for name in names if (format_ := _format(here := replace(content, chosen=name)))]
        if found:
            return _only(found)
    reason = refused.reason(content)
    if reason is not None:
        raise CheckpointError(reason)
    inside = [content.choose(name) for name in _inside(content)]
    found = [(format_, here) for here in inside if (format_ := _format(here))]
    if found:
        return _only(found)
    raise CheckpointError(refused.describe(content))


def _format(content: Content) -> Format | None:
    return next((format_ for format_ in FORMATS if format_.matches(content)), None)


def _only(found: list[tuple[Format, Content]]) -> tuple[Format, Content]:
    if len(found) > 1:
        told = ", ".join(f"{content.generator_name!r} ({format_.NAME})" for format_, content in found[:12])
        first = found[0][1].generator_name
        raise CheckpointError(
            f"it holds {len(found)} networks to generate with: {told}; choose one with --key {first} (key= in Python)"
        )
    return found[0]


def _inside(content: Content) -> list[str]:
    """Parts of networks that are called generators or decoders, such as ``decoder`` beside ``encoder``."""
    found, level = [], [(name, state) for name, state in content.states.items() if not is_discriminator(name)]
    for _ in range(MAX_LEVELS):
        level = [
            (f"{name}.{part}" if name else part, inner)
            for name, state in level
            for part, inner in groups(state).items()
            if not is_discriminator(part)
        ]
        found += [name for name, _ in level if words(name.rpartition(".")[2]) & GENERATOR_WORDS]
    return found


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
