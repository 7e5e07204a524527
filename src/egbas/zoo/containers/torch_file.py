# SPDX-License-Identifier: MIT
"""Files of ``torch.save``, the zip files of torch >= 1.6 and the older ones, read without ``torch.load``.

Both hold one pickle, whose tensors refer to blocks of bytes kept beside it. The pickle goes through ``unpickle``,
which runs nothing; a block is read when its tensor is.
"""

import io
import mmap
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import torch

from egbas.errors import CheckpointError
from egbas.zoo.containers import arrays
from egbas.zoo.containers.rebuilt import Block, StorageType, names_of_tensors
from egbas.zoo.containers.standins import Maker
from egbas.zoo.containers.stored import Ledger
from egbas.zoo.containers.unpickle import unpickle

MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of an old torch file
MAX_PICKLE = 64 * 2**20  # bytes of the pickle in a zip; that of a network of 300 tensors has 50,000


def read_zip(archive: zipfile.ZipFile, size: int, code: dict[str, None] | None = None) -> Any:
    """Read what a zip file of ``torch.save`` holds; its tensors are ``StoredTensor``.

    Args:
        archive: open as long as tensors are read.
        size: of the file in bytes.
        code: gets the names that stand for nothing; see ``unpickle``.

    Raises:
        CheckpointError: it is damaged, malicious, or no such file.
    """
    entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = sorted((name for name in entries if name.split("/")[-1] == "data.pkl"), key=len)
    if not pickles:
        raise CheckpointError("it is a zip file, but not one that torch.save wrote; expected a checkpoint")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in entries:
        raise CheckpointError(
            "it is a TorchScript program, which runs code when loaded; save the network's state_dict instead"
        )
    _check_sizes(entries, size)
    order = entries.get(f"{root}byteorder")
    if order is not None and bytes(_extract(archive, order)) != b"little":
        raise CheckpointError("its numbers are big-endian; load and save it again on an ordinary machine")
    blocks: dict[str, Block] = {}

    def block(pid: Any) -> Any:
        dtype, key, held = _describe(pid)
        entry = entries.get(f"{root}data/{key}")
        if entry is None or entry.file_size != held * dtype.itemsize:
            raise CheckpointError("a tensor's bytes are missing or of another length; the file is damaged or malicious")
        return blocks.setdefault(key, Block(dtype=dtype, held=held, read=lambda: _extract(archive, entry)))

    if entries[pickles[0]].file_size > MAX_PICKLE:
        raise CheckpointError("the pickle in it is larger than that of any network; it is damaged or malicious")
    ledger = Ledger(limit=2 * size)
    return unpickle(io.BytesIO(_extract(archive, entries[pickles[0]])), names_of_tensors(ledger), block, code)


def read_pickle(
    file: mmap.mmap, more: Mapping[tuple[str, str], Any] | None = None, code: dict[str, None] | None = None
) -> Any:
    """Read what ``pickle.dump`` wrote of tensors: each brings along its storage as a small file of ``torch.save``.

    Args:
        file: mapped, standing at its beginning.
        more: further names that it may have.
        code: gets the names that stand for nothing; see ``unpickle``.

    Raises:
        CheckpointError: it is damaged or malicious.
    """
    ledger = Ledger(limit=2 * len(file))
    nested = Ledger(limit=2 * len(file))  # a pickle may pass the same bytes many times

    def storage(data: Any) -> Block:
        data = data if isinstance(data, bytes | bytearray) else arrays.bytes_of(data)
        if data is None:
            raise CheckpointError("a tensor in it has no bytes; the file is damaged or malicious")
        nested.spend(len(data))
        inner = Bytes(data)
        found = read_legacy(inner) if is_legacy(inner) else None
        if not isinstance(found, Block):
            raise CheckpointError("the bytes of a tensor in it are no storage; the file is damaged or malicious")
        return found

    names = {**names_of_tensors(ledger), **(more or {}), ("torch.storage", "_load_from_bytes"): Maker(storage)}
    return unpickle(file, names, None, code)


class Bytes(io.BytesIO):
    """Bytes in memory that are read as a mapped file is."""

    def __len__(self) -> int:
        """How many there are."""
        return self.getbuffer().nbytes

    def __getitem__(self, part: slice) -> bytes:
        """Some of them."""
        return bytes(self.getbuffer()[part])


def read_legacy(file: "mmap.mmap | Bytes", code: dict[str, None] | None = None) -> Any:
    """Read what an old file of ``torch.save`` holds; its tensors are ``StoredTensor``.

    Args:
        file: mapped, standing after the first pickle, the magic number; open as long as tensors are read.
        code: gets the names that stand for nothing; see ``unpickle``.

    Raises:
        CheckpointError: it is damaged or malicious.
    """
    unpickle(file, {})  # the version of the protocol
    system = unpickle(file, {})
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise CheckpointError("its numbers are big-endian; load and save it again on an ordinary machine")
    blocks: dict[str, Block] = {}
    offsets: dict[str, int] = {}

    def block(pid: Any) -> Any:
        if isinstance(pid, tuple) and pid[:1] == ("module",) and len(pid) == 4:
            return pid[1]  # the class of a whole network, with its source code, which is never looked at
        dtype, key, held = _describe(pid)
        if len(pid) > 5 and pid[5] is not None:
            raise CheckpointError("it was written by a torch older than 0.4; load and save it again with a newer one")

        def read() -> bytearray:
            begin = offsets[key]
            return bytearray(file[begin : begin + held * dtype.itemsize])

        return blocks.setdefault(key, Block(dtype=dtype, held=held, read=read))

    content = unpickle(file, names_of_tensors(Ledger(limit=2 * len(file))), block, code)
    keys = unpickle(file, {})
    for key in keys if isinstance(keys, list) else []:
        header = file.read(8)
        held = blocks[key].held if isinstance(key, str) and key in blocks else -1
        if len(header) != 8 or struct.unpack("<q", header)[0] != held:
            raise CheckpointError("a tensor's bytes are missing or of another length; the file is truncated or damaged")
        offsets[key] = file.tell()
        end = offsets[key] + held * blocks[key].dtype.itemsize
        if end > len(file):
            raise CheckpointError("it ends in the middle of a tensor; it is truncated: get it again")
        file.seek(end)
    if blocks.keys() != offsets.keys():
        raise CheckpointError("the bytes of some tensors are missing; it is truncated or damaged: get it again")
    return content


def is_legacy(file: "mmap.mmap | Bytes") -> bool:
    """Whether the first pickle is the magic number of an old torch file; the file then stands after it."""
    try:
        return unpickle(file, {}) == MAGIC
    except CheckpointError:
        return False


def _check_sizes(entries: dict[str, zipfile.ZipInfo], size: int) -> None:
    """Refuse archives that are larger inside than outside; torch.save never compresses."""
    for entry in entries.values():
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise CheckpointError(
                "it is a compressed zip file, and torch.save never compresses; if it is an archive of a checkpoint, "
                "unpack it first"
            )
    if sum(entry.file_size for entry in entries.values()) > size:
        raise CheckpointError(f"its parts add up to more than its {size} bytes; it is damaged or malicious")


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytearray:
    try:
        with archive.open(entry) as file:
            content = bytearray(file.read(entry.file_size))
            file.read(1)  # at the end zipfile compares the checksum
    # ValueError: a name that is no text; struct.error: a header beyond the end.
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, struct.error) as error:
        raise CheckpointError(f"its part {entry.filename[:80]!r} is damaged ({error}); get it again") from error
    if len(content) != entry.file_size:
        raise CheckpointError("it ends in the middle of a tensor; it is truncated: get it again")
    return content


def _describe(pid: Any) -> tuple[torch.dtype, str, int]:
    """Type, key and number of elements in a persistent id: ("storage", type, key, device, elements)."""
    match pid:
        case ("storage", StorageType(dtype=dtype), str(key), _, int(held), *_) if 0 <= held < 2**62:
            return dtype, key, held
    raise CheckpointError("a tensor in it is described in an unknown way; the file is damaged or malicious")
