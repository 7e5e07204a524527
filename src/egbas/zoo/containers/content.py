# SPDX-License-Identifier: MIT
"""A checkpoint file opened: which container it is, and the named tensors and settings in it."""

import json
import mmap
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from egbas.errors import CheckpointError, EgbasError
from egbas.zoo.containers import arrays, torch_file
from egbas.zoo.containers.stored import Ledger, StoredTensor
from egbas.zoo.containers.unpickle import Settings, TfNetwork, table_maker, unpickle

SUFFIXES = (".pth", ".pt", ".bin", ".pkl", ".ckpt", ".tar", ".model", ".safetensors")
MAX_HEADER = 16 * 2**20  # bytes of the JSON in a safetensors file
SAFETENSORS_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
NETWORK_CLASSES = (("tfutil", "Network"), ("network", "Network"))
PREFIXES = ("module.", "_orig_mod.", "generator.")
# The moving average comes first: it is what the published pictures were made with.
GENERATORS = (
    *("avgG", "G_ema", "g_ema", "generator_smooth", "shadow_generator", "ema"),
    *("generator", "netG", "G", "g", "gen", "state_dict", "model_state_dict", "model", ""),
)
DISCRIMINATORS = ("netD", "discriminator", "D", "d", "dis")


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """What a file holds.

    Attributes:
        path: of the file.
        tree: what was saved, with ``StoredTensor`` for tensors.
        metadata: of a safetensors header; empty for other files.
        states: the named tensors of each network in it, by the network's name in the file; "" for those at the top.
    """

    path: Path
    tree: Any
    metadata: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, Mapping[str, StoredTensor]] = field(default_factory=dict)

    @property
    def generator_name(self) -> str:
        """Name of the network to generate with, its moving average where there is one; "" at the top."""
        return next((name for name in GENERATORS if name in self.states), "")

    @property
    def generator(self) -> Mapping[str, StoredTensor]:
        """The tensors of the generator; empty where there is none."""
        return self.states.get(self.generator_name, {})

    @property
    def discriminator(self) -> Mapping[str, StoredTensor] | None:
        """The tensors of the discriminator; None where there is none."""
        return next((self.states[name] for name in DISCRIMINATORS if name in self.states), None)

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
        return _content(path, torch_file.read_zip(archive, len(mapped)))
    if mapped[:1] != b"\x80":
        raise CheckpointError(_no_checkpoint(mapped[:512]))
    if torch_file.is_legacy(mapped):
        return _content(path, torch_file.read_legacy(mapped))
    mapped.seek(0)
    names = {**arrays.NAMES, ("collections", "OrderedDict"): table_maker(), **dict.fromkeys(NETWORK_CLASSES, TfNetwork)}
    return Content(path=path, tree=unpickle(mapped, names))


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


def _content(path: Path, tree: Any, metadata: Mapping[str, str] | None = None) -> Content:
    states = {} if not isinstance(tree, dict) else dict(_states(tree))
    return Content(path=path, tree=tree, metadata=metadata or {}, states=states)


def _states(tree: dict[Any, Any]) -> Iterator[tuple[str, dict[str, StoredTensor]]]:
    """Find the networks of a checkpoint: one at the top, one under each name, name_state_dict or name.state_dict."""
    top = _tensors(tree)
    networks = {name.partition(".")[0] for name in top}
    if "generator" in networks and networks & set(DISCRIMINATORS):  # one flat file of several networks
        for network in networks:
            yield network, _bare({name: top[name] for name in top if name.startswith(f"{network}.")}, f"{network}.")
        return
    if top:
        yield "", _bare(top)
    for name in (*GENERATORS, *DISCRIMINATORS):  # not every name: a file may have any number
        value = next((tree[key] for key in (name, f"{name}_state_dict") if isinstance(tree.get(key), dict)), None)
        inner = value.get("state_dict", value) if isinstance(value, dict) else None
        if isinstance(inner, dict) and _tensors(inner):
            yield name, _bare(_tensors(inner))


def _tensors(tree: dict[Any, Any]) -> dict[str, StoredTensor]:
    return {name: value for name, value in tree.items() if isinstance(name, str) and isinstance(value, StoredTensor)}


def _bare(tensors: dict[str, StoredTensor], first: str | None = None) -> dict[str, StoredTensor]:
    """Strip what wrappers put before every name."""
    for prefix in (first, *PREFIXES, *PREFIXES):
        if prefix and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


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
