# SPDX-License-Identifier: MIT
"""Files of ``torch.save``, the zip files of torch >= 1.6 and the older ones, read without ``torch.load``.

Both hold one pickle, whose tensors refer to blocks of bytes kept beside it. The pickle goes through ``unpickle``,
which runs nothing; a block is read when its tensor is.
"""

import io
import math
import mmap
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.containers import arrays
from egbas.zoo.containers.stored import MAX_DIMS, Ledger, Sealed, StoredTensor, check_layout
from egbas.zoo.containers.unpickle import Inert, Maker, table_maker, unpickle

MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of an old torch file
MAX_PICKLE = 64 * 2**20  # bytes of the pickle in a zip; that of a network of 300 tensors has 50,000

STORAGES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "BoolStorage": torch.bool,
}


@dataclass(frozen=True)
class StorageType(Sealed):
    """``torch.FloatStorage`` and its kin: a name for an element type."""

    dtype: torch.dtype


@dataclass
class Block(Sealed):
    """The bytes behind one or several tensors.

    Attributes:
        dtype: of its elements.
        held: number of elements.
        read: reads the bytes.
    """

    dtype: torch.dtype
    held: int
    read: Callable[[], bytearray] = field(repr=False)


def read_zip(archive: zipfile.ZipFile, size: int) -> Any:
    """Read what a zip file of ``torch.save`` holds; its tensors are ``StoredTensor``.

    Args:
        archive: open as long as tensors are read.
        size: of the file in bytes.

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

    def block(pid: Any) -> Block:
        dtype, key, held = _describe(pid)
        entry = entries.get(f"{root}data/{key}")
        if entry is None or entry.file_size != held * dtype.itemsize:
            raise CheckpointError("a tensor's bytes are missing or of another length; the file is damaged or malicious")
        return blocks.setdefault(key, Block(dtype=dtype, held=held, read=lambda: _extract(archive, entry)))

    if entries[pickles[0]].file_size > MAX_PICKLE:
        raise CheckpointError("the pickle in it is larger than that of any network; it is damaged or malicious")
    ledger = Ledger(limit=2 * size)
    return unpickle(io.BytesIO(_extract(archive, entries[pickles[0]])), _names(ledger), block)


def read_legacy(file: mmap.mmap) -> Any:
    """Read what an old file of ``torch.save`` holds; its tensors are ``StoredTensor``.

    Args:
        file: mapped, standing after the first pickle, the magic number; open as long as tensors are read.

    Raises:
        CheckpointError: it is damaged or malicious.
    """
    unpickle(file, {})  # the version of the protocol
    system = unpickle(file, {})
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise CheckpointError("its numbers are big-endian; load and save it again on an ordinary machine")
    blocks: dict[str, Block] = {}
    offsets: dict[str, int] = {}

    def block(pid: Any) -> Block:
        dtype, key, held = _describe(pid)
        if len(pid) > 5 and pid[5] is not None:
            raise CheckpointError("it was written by a torch older than 0.4; load and save it again with a newer one")

        def read() -> bytearray:
            begin = offsets[key]
            return bytearray(file[begin : begin + held * dtype.itemsize])

        return blocks.setdefault(key, Block(dtype=dtype, held=held, read=read))

    content = unpickle(file, _names(Ledger(limit=2 * len(file))), block)
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


def is_legacy(file: mmap.mmap) -> bool:
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


def _names(ledger: Ledger) -> dict[tuple[str, str], Any]:
    """What the pickle of a torch file may name."""

    def tensor(block: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
        if not isinstance(block, Block):
            raise CheckpointError("a tensor in it has no bytes; the file is damaged or malicious")
        sizes, steps = check_layout(shape, stride, offset, block.held)

        def read() -> Tensor:
            if not math.prod(sizes):
                return torch.empty(sizes, dtype=block.dtype)
            return torch.frombuffer(block.read(), dtype=block.dtype).as_strided(sizes, steps, offset)

        return StoredTensor(shape=sizes, dtype=block.dtype, read=read, ledger=ledger)

    def parameter(value: Any, *_: Any) -> StoredTensor:
        if not isinstance(value, StoredTensor):
            raise CheckpointError("a parameter in it is no tensor; the file is damaged or malicious")
        return value

    names: dict[tuple[str, str], Any] = {
        **arrays.NAMES,
        ("collections", "OrderedDict"): table_maker(),
        ("torch", "Size"): Maker(_shape),
        ("torch", "device"): Maker(Inert),
        ("torch._utils", "_rebuild_tensor"): Maker(tensor),
        ("torch._utils", "_rebuild_tensor_v2"): Maker(tensor),
        ("torch._utils", "_rebuild_parameter"): Maker(parameter),
        ("torch._utils", "_rebuild_parameter_with_state"): Maker(parameter),
    }
    return names | {("torch", name): StorageType(dtype) for name, dtype in STORAGES.items()}


def _shape(sizes: Any = ()) -> tuple[Any, ...]:
    return tuple(sizes) if isinstance(sizes, tuple | list) and len(sizes) <= MAX_DIMS else ()
