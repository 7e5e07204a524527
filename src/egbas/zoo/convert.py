# SPDX-License-Identifier: MIT
"""Write a checkpoint of any format as the neutral file of egbas: ``egbas convert``."""

import os
from collections.abc import Callable
from pathlib import Path

from egbas.errors import CheckpointError
from egbas.zoo.formats import build_networks, own, read_checkpoint
from egbas.zoo.state_dicts import checksum

SUFFIX = ".safetensors"


def check_output(source: Path, out: Path, overwrite: bool) -> None:
    """Say whether a converted file may be written, before any work is done for it.

    Raises:
        CheckpointError: its name or folder does not do.
    """
    if out.suffix.lower() != SUFFIX:
        raise CheckpointError(f"{out} does not end in {SUFFIX}; the file is of that kind: name it so")
    if out.is_dir():
        raise CheckpointError(f"{out} is a directory; name a file in it, such as {out / source.stem}{SUFFIX}")
    if out.exists() and source.exists() and os.path.samefile(source, out):
        raise CheckpointError(f"{out} is the file to be converted; name another one")
    if out.exists() and not overwrite:
        raise CheckpointError(f"{out} exists; pass --overwrite to replace it, or name another file")


def convert(
    source: Path,
    out: Path,
    write: Callable[[Path, bytes], None],
    *,
    overwrite: bool = False,
    key: str | None = None,
    activation: str | None = None,
) -> str:
    """Convert a checkpoint; loading the result gives the same networks bit for bit.

    Args:
        source: a checkpoint of any format that is read.
        out: file to write, ``.safetensors``.
        write: writes a file completely or not at all.
        overwrite: whether a file there may be replaced.
        key: see ``load_model``, as the next.
        activation: see there.

    Returns:
        Name of the source's format.

    Raises:
        CheckpointError: the source cannot be read or built, or the result cannot be written there.
    """
    check_output(source, out, overwrite)
    name, blueprints = read_checkpoint(source, key=key, activation=activation)
    build_networks(source, blueprints)  # what cannot be built is not written
    origin = {} if name == own.NAME else {"source_format": name, "source_sha256": checksum(source)}
    write(out, own.dump(blueprints, origin))
    return name
