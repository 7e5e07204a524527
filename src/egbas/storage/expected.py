# SPDX-License-Identifier: MIT
"""What is expected of a value of JSON, or of a tensor: written down as tables, checked by two functions.

A table of JSON has the keys of an object, and for each a table or what its value has to be. A key that ends in ``?``
may be missing or null; ``*`` stands for every key that there is. Keys that a table does not know are let be. Of a list
of tables all have to hold. A table of tensors has their names; a letter stands for the same number in all its shapes.
"""

import json
import reprlib
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from egbas.storage.contents import refuse

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_MISSING = object()
_N_SHOWN = 6


class Expected(NamedTuple):
    """What a value has to be: in words, and as a test."""

    words: str
    holds: Callable[[Any], bool]

    def where(self, words: str, holds: Callable[[Any], bool]) -> "Expected":
        """The same, and more; the further test only sees values that pass this one."""
        return Expected(f"{self.words}{words}", lambda value: self.holds(value) and holds(value))


Table = Expected | Mapping[str, Any] | list[Any]  # the values are tables


def _is_number(value: object) -> bool:
    # Compared, and not converted: an integer may be too large for a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_fit_for_json(value: object) -> bool:
    try:
        return bool(json.dumps(value, allow_nan=False))
    except (ValueError, RecursionError):
        return False


NUMBER = Expected("a finite number", _is_number)
POSITIVE = NUMBER.where(" above 0", lambda value: value > 0)
NOT_NEGATIVE = NUMBER.where(" of at least 0", lambda value: value >= 0)
SHARE = NUMBER.where(" from 0 to 1", lambda value: 0 <= value <= 1)
INTEGER = Expected("an integer", lambda value: type(value) is int and abs(value) < 2**63)  # no bool
COUNT = INTEGER.where(" of at least 0", lambda value: value >= 0)
SIZE = INTEGER.where(" of at least 1", lambda value: value >= 1)
SEED = INTEGER.where(" from 0 to 2**63 - 1", lambda value: 0 <= value < 2**63)
TEXT = Expected("a text", lambda value: isinstance(value, str))
NULL = Expected("null", lambda value: value is None)
OBJECT = Expected("an object of finite numbers, texts, lists and objects", lambda value: isinstance(value, dict)).where(
    "", _is_fit_for_json
)


def or_null(expected: Expected) -> Expected:
    """The same, or null."""
    return Expected(f"{expected.words}, or null", lambda value: value is None or expected.holds(value))


def one_of(words: Iterable[str]) -> Expected:
    """One of some texts."""
    known = tuple(words)
    return Expected(f"one of {', '.join(known)}", lambda value: isinstance(value, str) and value in known)


def in_order(*names: str) -> Expected:
    """An object in which numbers never fall from one name to the next; those that are null are left out."""

    def holds(value: dict[str, Any]) -> bool:
        numbers = [value[name] for name in names if value[name] is not None]
        return numbers == sorted(numbers)

    return Expected(f"an object with {' <= '.join(names)}", holds)


def list_of(each: Expected, n: int | None = None) -> Expected:
    """A list of so many values, or of any number of them."""

    def holds(value: object) -> bool:
        return isinstance(value, list) and n in (None, len(value)) and all(map(each.holds, value))

    return Expected(f"a list{'' if n is None else f' of {n}'}, each {each.words}", holds)


class Wanted(NamedTuple):
    """What a tensor has to be.

    Attributes:
        shape: letters, such as ``"n d"``.
        dtypes: that it may have.
        words: what its values have to be.
        holds: the same as a test; it only sees tensors of that shape and dtype.
    """

    shape: str
    dtypes: tuple[torch.dtype, ...] = FLOATS
    words: str = "finite numbers"
    holds: Callable[[Tensor], bool] = lambda tensor: bool(torch.isfinite(tensor).all())


def check_json(file: Path, value: Any, table: Table, where: str = "") -> None:
    """Compare a value of JSON with a table.

    Args:
        file: that it stands in.
        value: of the file, or of a part of it.
        table: what is expected.
        where: keys that lead to the part, with dots.

    Raises:
        RunDirectoryError: it is another.
    """
    if isinstance(table, Expected):
        if not table.holds(value):
            refuse(file, where, _shown(value), table.words)
        return
    if isinstance(table, list):
        for each in table:
            check_json(file, value, each, where)
        return
    if not isinstance(value, dict):
        refuse(file, where, _shown(value), "an object")
    for key, inner in table.items():
        name = key.removesuffix("?")
        if key != name and value.get(name) is None:
            continue
        for each in value if name == "*" else (name,):
            check_json(file, value.get(each, _MISSING), inner, join(where, each))


def check_tensors(
    file: Path, tensors: Mapping[str, Tensor], table: Mapping[str, Wanted], sizes: dict[str, int]
) -> None:
    """Compare tensors with a table.

    Args:
        file: that they stand in.
        tensors: of the file, by name.
        table: what is expected, by name; a name that ends in ``?`` may be missing.
        sizes: what letters of shapes stand for; those that are found are added.

    Raises:
        RunDirectoryError: one is missing, or another.
    """
    for key, wanted in table.items():
        name = key.removesuffix("?")
        if key != name and name not in tensors:
            continue
        if name not in tensors:
            refuse(file, name, "missing", f"a tensor ({', '.join(wanted.shape.split())})")
        _check_tensor(file, name, tensors[name], wanted, sizes)


def _check_tensor(file: Path, name: str, tensor: Tensor, wanted: Wanted, sizes: dict[str, int]) -> None:
    letters, shape = wanted.shape.split(), tuple(tensor.shape)
    if len(shape) != len(letters) or any(
        sizes.setdefault(*pair) != pair[1] for pair in zip(letters, shape, strict=True)
    ):
        expected = ", ".join(str(sizes.get(letter, letter)) for letter in letters)
        refuse(file, name, f"of shape {shape}", f"shape ({expected}{',' * (len(letters) == 1)})")
    if tensor.dtype not in wanted.dtypes:
        refuse(file, name, _name(tensor.dtype), " or ".join(map(_name, wanted.dtypes)))
    if not wanted.holds(tensor):
        refuse(file, name, shown(tensor), wanted.words)


def join(*keys: str) -> str:
    """Keys that lead to a value, with dots between them."""
    return ".".join(key for key in keys if key)


def shown(tensor: Tensor) -> str:
    """The first values of a tensor, and how far all of them reach."""
    first = ", ".join(f"{value:g}" for value in tensor.flatten()[:_N_SHOWN].tolist())
    if tensor.numel() <= _N_SHOWN:
        return f"[{first}]"
    low, high = torch.aminmax(tensor)
    return f"[{first}, ...], from {low.item():g} to {high.item():g}"


def _shown(value: object) -> str:
    return "missing" if value is _MISSING else reprlib.repr(value)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
