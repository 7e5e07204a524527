# SPDX-License-Identifier: MIT
"""Networks in several files: an index, ``NAME.safetensors.index.json`` or ``NAME.bin.index.json``, names them all."""

import json
import re
from pathlib import Path
from typing import Any

from egbas.errors import CheckpointError

INDEX = re.compile(r".+\.(safetensors|bin|pth|pt)\.index\.json")
MAX_INDEX = 64 * 2**20  # bytes
MAX_SHARDS = 1000


def index_of(path: Path) -> Path | None:
    """The index that a path means: the file itself, or the only one in a folder; None where it means none.

    Raises:
        CheckpointError: the folder has several.
    """
    if INDEX.fullmatch(path.name) and path.is_file():
        return path
    if not path.is_dir():
        return None
    found = sorted(entry for entry in path.iterdir() if INDEX.fullmatch(entry.name))
    if len(found) > 1:
        # Both kinds of one network are often published side by side; safetensors come first.
        plain = [entry for entry in found if entry.name.endswith(".safetensors.index.json")]
        if len(plain) != 1:
            names = ", ".join(entry.name for entry in found[:6])
            raise CheckpointError(f"it is a directory with several networks; name the index of one: {names}")
        return plain[0]
    return found[0] if found else None


def read_index(index: Path) -> dict[Path, list[str]]:
    """The files that an index names, each with the names of its tensors.

    Raises:
        CheckpointError: it is no index, or names files elsewhere or none.
    """
    table = _table(index)
    found: dict[Path, list[str]] = {}
    for name, file in table.items():
        if not isinstance(file, str) or Path(file).name != file or file in ("", ".", ".."):
            raise CheckpointError(
                f"its index names the file {str(file)[:60]!r}; expected the name of one in the same folder"
            )
        found.setdefault(index.with_name(file), []).append(name)
    if len(found) > MAX_SHARDS:
        raise CheckpointError(f"its index names {len(found)} files; expected at most {MAX_SHARDS}")
    for file in found:
        if INDEX.fullmatch(file.name):
            raise CheckpointError(f"its index names another index, {file.name}; it is damaged or malicious")
        if not file.is_file():
            raise CheckpointError(f"its index names {file.name}, which is not there; put all files into one folder")
    return found


def files_of(path: Path) -> list[Path]:
    """The files of a network: its own, or its index and those that this names.

    Raises:
        CheckpointError: the index is damaged.
    """
    index = index_of(path)
    return [path] if index is None else [index, *sorted(read_index(index))]


def _table(index: Path) -> dict[str, Any]:
    try:
        if index.stat().st_size > MAX_INDEX:
            raise CheckpointError("its index is larger than that of any network; it is damaged or malicious")
        content = json.loads(index.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"its index cannot be read ({str(error)[:200]}); get it again") from error
    table = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(table, dict) or not table:
        raise CheckpointError("it has no weight_map; expected an index of files that hold parts of one network")
    return table
