# SPDX-License-Identifier: MIT
"""numpy arrays in a pickle, read without numpy: what the original PGGAN's files are made of.

numpy's own reconstruction trusts what the file says of shapes and types. Here a pickle only tells the shape, the
type and the bytes, and they are compared with each other.
"""

import math
from typing import Any

import torch
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.containers.standins import Inert, Maker
from egbas.zoo.containers.stored import Ledger, StoredTensor, check_layout

DTYPES = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "u1": torch.uint8,
    "b1": torch.bool,
}


class Dtype(Inert):
    """``numpy.dtype``: the code, such as "f4", is its first argument; the state has the byte order."""

    def torch_dtype(self) -> torch.dtype:
        """The same type in torch.

        Raises:
            CheckpointError: it is no type of numbers, or of another byte order.
        """
        code = self.args[0] if self.args else None
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "|"
        if not isinstance(code, str) or code not in DTYPES or order not in ("<", "|", "="):
            raise CheckpointError("an array in it is not made of ordinary little-endian numbers")
        return DTYPES[code]


class Array(Inert):
    """``numpy.ndarray``: the state is (version, shape, dtype, is_fortran, bytes)."""

    def stored(self, ledger: Ledger) -> StoredTensor:
        """The array as a tensor.

        Raises:
            CheckpointError: the shape does not fit the bytes.
        """
        if not (isinstance(self.state, tuple) and len(self.state) == 5 and isinstance(self.state[2], Dtype)):
            raise CheckpointError("an array in it has no proper state; the file is damaged or malicious")
        _, shape, described, is_fortran, data = self.state
        dtype = described.torch_dtype()
        data = bytes_of(data)
        if data is None or not isinstance(shape, tuple):
            raise CheckpointError("an array in it has no bytes; the file is damaged or malicious")
        held = len(data) // dtype.itemsize
        stride = _strides(shape, is_fortran is True)
        sizes, steps = check_layout(shape, stride, 0, held)
        if math.prod(sizes) * dtype.itemsize != len(data):
            raise CheckpointError(
                f"an array of shape {sizes} has {len(data)} bytes, expected {math.prod(sizes) * dtype.itemsize}; "
                "the file is damaged or malicious"
            )

        def read() -> Tensor:
            if not held:
                return torch.empty(sizes, dtype=dtype)
            return torch.frombuffer(bytearray(data), dtype=dtype).as_strided(sizes, steps)

        return StoredTensor(shape=sizes, dtype=dtype, read=read, ledger=ledger)


def _strides(shape: tuple[Any, ...], is_fortran: bool) -> tuple[int, ...]:
    if not all(type(size) is int and 0 <= size < 2**62 for size in shape):
        raise CheckpointError("an array in it has no proper shape; the file is damaged or malicious")
    ordered = shape if is_fortran else shape[::-1]
    steps = [math.prod(ordered[:index]) for index in range(len(ordered))]
    return tuple(steps if is_fortran else steps[::-1])


class Encoded(Inert):
    """``_codecs.encode(text, "latin1")``, which Python 3 writes for bytes in old protocols; encoded when used."""


def bytes_of(data: Any) -> bytes | bytearray | None:
    """The bytes of an array as any protocol writes them; None where they are none."""
    if isinstance(data, Encoded):
        data = data.args[0] if data.args else None
    if isinstance(data, str):
        try:
            return data.encode("latin1")
        except UnicodeEncodeError:
            return None
    return data if isinstance(data, bytes | bytearray) else None


def _array(*_: Any) -> Inert:
    return Array()  # the arguments of _reconstruct say nothing: shape and type come with the state


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> Inert:
    """What numpy writes in protocol 5."""
    made = Array()
    made.state = (1, shape, dtype, order == "F", data)
    return made


def _scalar(*args: Any) -> Inert:
    return Inert(*args)


NAMES: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): Maker(Encoded),
    ("numpy", "dtype"): Dtype,
    ("numpy", "ndarray"): Maker(_array),
}
for _home in ("numpy.core", "numpy._core"):
    NAMES[f"{_home}.multiarray", "_reconstruct"] = Maker(_array)
    NAMES[f"{_home}.multiarray", "scalar"] = Maker(_scalar)
    NAMES[f"{_home}.numeric", "_frombuffer"] = Maker(_frombuffer)
