# SPDX-License-Identifier: MIT
"""Tensors of a checkpoint, known by shape before a byte of their values is read.

Formats are told apart and checked by names and shapes alone; only what a network needs is then loaded. What a
file says of a tensor is compared with what the file holds, so a lie costs no memory.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from egbas.errors import CheckpointError

MAX_DIMS = 8
FLOATS = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
)


class Sealed:
    """Something whose attributes no pickle can set."""

    def __setstate__(self, state: object) -> None:
        """Refuse.

        Raises:
            CheckpointError: always.
        """
        raise CheckpointError("the file changes objects of the program that reads it; it is malicious")


@dataclass
class Ledger:
    """Counts what is taken from one file, in bytes or pieces.

    A file may name the same bytes many times over; a network that is larger than its file is refused.

    Attributes:
        limit: how much may be taken.
        spent: how much was taken so far.
    """

    limit: int
    spent: int = 0

    def spend(self, size: int) -> None:
        """Count a load.

        Raises:
            CheckpointError: more is loaded than the file can hold.
        """
        self.spent += size
        if self.spent > self.limit:
            raise CheckpointError(
                f"what is in it adds up to more than {self.limit}, which is more than the file holds; it is malicious"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredTensor(Sealed):
    """One tensor of a file.

    Attributes:
        shape: as the file says, checked against the bytes that are there.
        dtype: as stored.
        read: reads the values, as stored.
        ledger: of the file.
        kind: what it is where it is no plain tensor, such as "sparse"; its values are then not read.
        read_transposed: reads the values as the weight of a transposed convolution, where that is another than that
            of a convolution (see ``reparametrised.py``).
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor] = field(repr=False)
    ledger: Ledger = field(repr=False)
    kind: str = ""
    read_transposed: Callable[[], Tensor] | None = field(default=None, repr=False)

    def load(self, name: str, *, transposed: bool = False) -> Tensor:
        """Read the values as contiguous float32 of their own memory.

        Args:
            name: of the tensor, for the messages.
            transposed: whether it is the weight (in, out, ...) of a transposed convolution.

        Raises:
            CheckpointError: they are no real numbers, or NaN or infinite.
        """
        values = self.load_stored(name, transposed=transposed)
        if self.dtype not in FLOATS:
            raise CheckpointError(f"tensor {name!r} holds {self.dtype}; expected floating-point weights")
        values = values.to(torch.float32).contiguous()
        bad = values.numel() - int(values.isfinite().sum())
        if bad:
            raise CheckpointError(
                f"tensor {name!r} holds {bad} values that are NaN or infinite in float32; "
                "the training that wrote it diverged, or the file is damaged: use another checkpoint"
            )
        return values

    def load_stored(self, name: str, *, transposed: bool = False) -> Tensor:
        """Read the values as they are stored.

        Args:
            name: of the tensor, for the messages.
            transposed: whether it is the weight (in, out, ...) of a transposed convolution.

        Raises:
            CheckpointError: it is no plain tensor, or more was read from the file than it can hold.
        """
        if self.kind:
            raise CheckpointError(
                f"tensor {name!r} is {self.kind}; expected a plain tensor of floating-point weights: "
                "save it as one where it was made"
            )
        self.ledger.spend(math.prod(self.shape) * self.dtype.itemsize)
        return self.read_transposed() if transposed and self.read_transposed is not None else self.read()

    def load_counter(self) -> Tensor:
        """Read one whole number.

        Raises:
            CheckpointError: it is none.
        """
        if self.shape != () or self.kind or self.dtype.is_floating_point:
            raise CheckpointError("a counter in it is no whole number; it is damaged")
        return self.read().to(torch.int64)


def check_layout(shape: object, stride: object, offset: object, held: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Compare what a file says of a tensor with the elements that its storage holds.

    Args:
        shape: sizes as the file says.
        stride: steps in elements as the file says.
        offset: of the first element.
        held: elements in the storage.

    Returns:
        Shape and stride.

    Raises:
        CheckpointError: they are no sizes, or reach outside the storage.
    """
    sizes, steps = _sizes(shape), _sizes(stride)
    if sizes is None or steps is None or len(sizes) != len(steps) or _sizes((offset,)) is None:
        raise CheckpointError("a tensor has no proper shape; the file is damaged or malicious")
    assert isinstance(offset, int)
    # The second test stops shapes that repeat few elements many times (steps of 0).
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    if 0 not in sizes and (last >= held or math.prod(sizes) > held):
        raise CheckpointError(
            f"a tensor of shape {sizes} does not fit in the {held} elements that the file holds for it; "
            "the file is truncated, damaged or malicious"
        )
    return sizes, steps


def _sizes(values: object) -> tuple[int, ...] | None:
    if not isinstance(values, tuple | list) or len(values) > MAX_DIMS:
        return None
    sizes = tuple(value for value in values if type(value) is int and 0 <= value < 2**62)
    return sizes if len(sizes) == len(values) else None
