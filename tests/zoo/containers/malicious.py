# SPDX-License-Identifier: MIT
"""Pickles that try to run something, and files around them."""

import builtins
import functools
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def raw(module: str, name: str, *args: bytes) -> bytes:
    """A call of any name, whether it can be imported here or not; args are pickled pieces."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + b"".join(args) + b"tR."


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def attacks(marker: Path) -> dict[str, bytes]:
    """Pickles that write the marker when they are loaded as ``pickle.loads`` does, or try another way."""
    touch, code = f"touch {marker}", f"open({str(marker)!r}, 'w').close()"
    payload = Call(os.system, touch)
    instance = b"\x80\x02(c" + f"{os.system.__module__}\nsystem\n".encode() + text(touch) + b"o."
    stacked = b"\x80\x04" + text("posix") + text("system") + b"\x93" + b"(" + text(touch) + b"tR."
    set_default = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}" + text("_make") + b"cposix\nsystem\nsb."
    return {
        "system": pickle.dumps(payload),
        "protocol 2": pickle.dumps(payload, protocol=2),
        "eval": pickle.dumps(Call(builtins.eval, code)),
        "exec": pickle.dumps(Call(builtins.exec, code)),
        "getattr": raw("builtins", "getattr", b"cos\npath\n", text("system")),
        "nested": pickle.dumps({"state_dict": OrderedDict(a=[1, ({"b": payload},)])}),
        "a key": pickle.dumps({"layer1.conv.weight": 1.0, "x": [payload]}),
        "instance": instance,
        "stack global": stacked,
        "inst": b"\x80\x02(" + text(touch) + b"iposix\nsystem\n.",
        "dotted": b"\x80\x04" + text("builtins") + text("eval.__self__") + b"\x93.",
        "numpy runstring": raw("numpy.testing._private.utils", "runstring", text(code), b"}"),
        "numpy load": raw("numpy", "load", text("/etc/passwd")),
        "numpy memmap": raw("numpy", "memmap", text(str(marker)), text("u1"), text("w+"), b"K\x00", b"(K\x04t"),
        "numpy fromfile": raw("numpy", "fromfile", text("/etc/passwd")),
        "numpy f2py": raw("numpy.f2py", "compile", text(code)),
        "numpy save": pickle.dumps(Call(np.save, str(marker), 1)),
        "dtype of an object": raw("numpy", "dtype", text("O8")),
        "torch load": raw("torch", "load", text(str(marker))),
        "torch hub": raw("torch.hub", "load", text("."), text("x")),
        "torch extension": raw("torch.utils.cpp_extension", "load_inline", text(code)),
        "torch storage from file": raw("torch", "FloatStorage.from_file", text(str(marker)), b"\x88", b"K\x04"),
        "whole module": raw("torch.nn.modules.linear", "Linear"),
        "set a function's attribute": set_default,
        "import": raw("importlib", "import_module", text("os")),
        "partial": pickle.dumps(Call(functools.partial, os.system, touch)),
        "config of another name": raw("models.utils.config", "Config"),
        "code of a network": pickle.dumps(Call(compile, code, "x", "exec")),
        "extension code": b"\x80\x02\x82\x01.",
        "persistent id": b"\x80\x02Px\n.",
    }


def zipped(data: bytes, *, records: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A file as torch.save writes it, around a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        for name, content in (records or {}).items():
            archive.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def legacy(data: bytes, *, after: bytes = b"") -> bytes:
    """A file as old versions of torch.save write it, around a pickle."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = b"".join(pickle.dumps(value, protocol=2) for value in (MAGIC, 1001, system))
    return head + data + (after or pickle.dumps([], protocol=2))


def tensor(shape: tuple[int, ...], stride: tuple[int, ...], held: int, *, offset: int = 0, name: str = "x") -> bytes:
    """The pickle of {name: tensor} with whatever it says of itself; its storage has the key 0."""

    def number(value: int) -> bytes:
        return pickle.dumps(value, protocol=2)[2:-1]

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    pid = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(held) + b"tQ"
    args = pid + number(offset) + numbers(shape) + numbers(stride) + b"\x89" + b"N"
    return b"\x80\x02}" + text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + args + b"tRs."
