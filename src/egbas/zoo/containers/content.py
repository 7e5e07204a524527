# SPDX-License-Identifier: MIT
"""A checkpoint file opened: which container it is, and the named tensors and settings in it."""

import json
import mmap
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from egbas.errors import CheckpointError, EgbasError
from egbas.zoo.containers import shards, torch_file
from egbas.zoo.containers.networks import bare, descendant, discriminator_of, find_networks, ranked
from egbas.zoo.containers.reparametrised import plain
from egbas.zoo.containers.standins import Foreign, Settings, TfNetwork, asks_for_code
from egbas.zoo.containers.stored import Ledger, StoredTensor

SUFFIXES = (".pth", ".pt", ".bin", ".pkl", ".ckpt", ".tar", ".model", ".safetensors")
MAX_HEADER = 16 * 2**20  # bytes of the JSON in a safetensors file
SAFETENSORS_DTYPES = {
    **{"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "C64": torch.complex64},
    **{"U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64, "BOOL": torch.bool, "U8": torch.uint8},
}
NETWORK_CLASSES = (("tfutil", "Network"), ("network", "Network"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """What a file holds.

    Attributes:
        path: of the file.
        tree: what was saved, with ``StoredTensor`` for tensors.
        metadata: of a safetensors header; empty for other files.
        states: the named tensors of each network in it, by the network's name in the file; "" for those at the top.
        raw: the same, with the weights that a spectral or weight norm keeps in parts.
        modules: of those that are whole pickled modules, what the module became.
        code: names that stand for nothing here: the Python code that the file asks for.
        chosen: name of the network to generate with; None for the likeliest.
        activation: what the user says of the activations, where the file tells nothing.
    """

    path: Path
    tree: Any
    metadata: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, Mapping[str, StoredTensor]] = field(default_factory=dict)
    raw: Mapping[str, Mapping[str, StoredTensor]] = field(default_factory=dict)
    modules: Mapping[str, Foreign] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    chosen: str | None = None
    activation: str | None = None

    @property
    def generator_name(self) -> str:
        """Name of the network to generate with, its moving average where there is one; "" at the top."""
        if self.chosen is not None:
            return self.chosen
        return next((names[0] for names in ranked(self.states) if names), "")

    @property
    def generator(self) -> Mapping[str, StoredTensor]:
        """The tensors of the generator; empty where there is none."""
        return self.states.get(self.generator_name, {})

    @property
    def discriminator_name(self) -> str | None:
        """Name of the discriminator that belongs to the generator; None where there is none."""
        return discriminator_of(self.generator_name, self.states)

    @property
    def discriminator(self) -> Mapping[str, StoredTensor] | None:
        """The tensors of the discriminator; None where there is none."""
        name = self.discriminator_name
        return None if name is None else self.states[name]

    def alone(self) -> "Content":
        """The same without its discriminators."""
        states = {name: state for name, state in self.states.items() if name == self.generator_name}
        return replace(self, states=states, chosen=self.generator_name)

    def choose(self, name: str) -> "Content":
        """The same, with a network to generate with: one of ``states``, or a part of one, such as ``net.decoder``.

        Raises:
            CheckpointError: there is none of that name.
        """
        if name in self.states:
            return replace(self, chosen=name)
        for outer, tensors in self.raw.items():
            stem = name.removeprefix(f"{outer}.") if outer else name
            inside = {
                key.removeprefix(f"{stem}."): value for key, value in tensors.items() if key.startswith(f"{stem}.")
            }
            if inside:
                raw = {**self.raw, name: bare(inside)}
                whole = descendant(self.modules.get(outer), stem)
                modules = self.modules if whole is None else {**self.modules, name: whole}
                states = {**self.states, name: plain(raw[name])}
                return replace(self, raw=raw, states=states, modules=modules, chosen=name)
        told = ", ".join(f"{name or 'the top level'} ({len(state)} tensors)" for name, state in self.states.items())
        raise CheckpointError(f"there is no network {name[:60]!r} in it; --key takes the name of one: {told or 'none'}")

    def settings(self, *path: str) -> dict[str, Any]:
        """The plain settings under some names, such as ("generator", "conf"); empty where there are none."""
        node = self.tree
        for name in path:
            node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, Settings):
            node = node.state
        return node if isinstance(node, dict) else {}


@contextmanager
def open_content(path: Path) -> Iterator[Content]:
    """Open a checkpoint; its tensors can be read as long as it is open.

    Raises:
        CheckpointError: it is missing, damaged, malicious, or of no known kind; the message starts with its path.
    """
    try:
        with ExitStack() as stack:
            yield _open(path, stack)
    except EgbasError as error:
        if not isinstance(error, CheckpointError) or str(error).startswith((str(path), "there is no file")):
            raise
        raise CheckpointError(f"{path}: {error}") from error


def _open(path: Path, stack: ExitStack) -> Content:
    try:
        index = shards.index_of(path)
        if index is not None:
            return _open_shards(index, stack)
        _check_file(path)
        file = stack.enter_context(path.open("rb"))
        mapped = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        if isinstance(error, EgbasError):
            raise
        raise CheckpointError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if _is_safetensors(mapped):
        return _open_safetensors(path, stack, len(mapped))
    if mapped[:4] == b"PK\x03\x04":
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise CheckpointError(f"it is a damaged or truncated zip file ({error}); get it again") from error
        code: dict[str, None] = {}
        return _content(path, torch_file.read_zip(archive, len(mapped), code), code=code)
    if mapped[:1] != b"\x80":
        raise CheckpointError(_no_checkpoint(mapped[:512]))
    if torch_file.is_legacy(mapped):
        code = {}
        return _content(path, torch_file.read_legacy(mapped, code), code=code)
    mapped.seek(0)
    code = {}
    return _content(path, torch_file.read_pickle(mapped, dict.fromkeys(NETWORK_CLASSES, TfNetwork), code), code=code)


def _open_shards(index: Path, stack: ExitStack) -> Content:
    """All tensors of a network that lies in several files."""
    tensors: dict[str, StoredTensor] = {}
    for shard, names in shards.read_index(index).items():
        tree = _open(shard, stack).tree
        missing = [name for name in names if not isinstance(tree, dict) or not isinstance(tree.get(name), StoredTensor)]
        if missing:
            raise CheckpointError(
                f"{index.name} says that {shard.name} holds the tensor {missing[0][:60]!r}; it does not"
            )
        tensors |= {name: tree[name] for name in names}
    return _content(index, tensors)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise CheckpointError(f"there is no file {path}")
    if path.is_dir():
        inside = sorted(entry.name for entry in path.iterdir() if entry.suffix in SUFFIXES)
        hint = f", such as {path / inside[0]}" if inside else ""
        raise CheckpointError(f"it is a directory; expected a checkpoint file{hint}")
    if not path.is_file():
        raise CheckpointError("it is no ordinary file; expected a checkpoint")
    if not path.stat().st_size:
        raise CheckpointError("it is empty; the download or the copy failed: get it again")
    if not os.access(path, os.R_OK):
        raise CheckpointError("there is no permission to read it")


def _is_safetensors(mapped: mmap.mmap) -> bool:
    return len(mapped) > 8 and mapped[8:9] == b"{" and int.from_bytes(mapped[:8], "little") < 2**40


def _open_safetensors(path: Path, stack: ExitStack, size: int) -> Content:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, MAX_HEADER):
        raise CheckpointError(f"its header claims {length} bytes; the file is truncated or damaged")
    ledger = Ledger(limit=2 * size)
    try:
        opened = stack.enter_context(safe_open(path, framework="pt"))
        tensors = {name: _safetensor(opened, name, ledger) for name in opened.keys()}
        return _content(path, tensors, dict(opened.metadata() or {}))
    except (SafetensorError, OSError, ValueError, json.JSONDecodeError) as error:
        raise CheckpointError(f"it is a damaged or truncated safetensors file ({error}); get it again") from error


def _safetensor(opened: Any, name: str, ledger: Ledger) -> StoredTensor:
    entry = opened.get_slice(name)
    dtype = SAFETENSORS_DTYPES.get(entry.get_dtype(), torch.int64)

    def read() -> Tensor:
        return opened.get_tensor(name).clone()  # not a view of the file, which may change or vanish

    return StoredTensor(shape=tuple(entry.get_shape()), dtype=dtype, read=read, ledger=ledger)


def _content(
    path: Path, tree: Any, metadata: Mapping[str, str] | None = None, code: Mapping[str, None] | None = None
) -> Content:
    found = find_networks(tree)
    if code and not found.states:
        raise asks_for_code(list(code))
    return Content(
        path=path,
        tree=tree,
        metadata=metadata or {},
        states=found.states,
        raw=found.raw,
        modules=found.modules,
        code=tuple(code or ()),
    )


def _no_checkpoint(head: bytes) -> str:
    kinds = {b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image", b"%PDF": "a PDF"}
    kinds |= {b"\x1f\x8b": "a gzip archive", b"Rar!": "a RAR archive", b"\x89HDF": "an HDF5 file (Keras?)"}
    kinds |= {b"\x93NUMPY": "a numpy array", b"BZh": "a bzip2 archive", b"7z\xbc\xaf": "a 7z archive"}
    kind = next((kind for magic, kind in kinds.items() if head.startswith(magic)), None)
    if kind is None and head.lstrip()[:1] == b"<":
        kind = "a web page, perhaps saved in place of the download"
    if kind is None and head.startswith(b"version https://git-lfs"):
        kind = "a pointer of Git LFS, not the file itself: run 'git lfs pull'"
    if kind is None and not any(byte < 9 for byte in head):
        kind = "text"
    return f"it is {kind or 'of an unknown kind'}; expected a checkpoint (.pth, .pt, .bin, .pkl or .safetensors)"
