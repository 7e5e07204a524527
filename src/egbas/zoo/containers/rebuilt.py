# SPDX-License-Identifier: MIT
"""What the pickle of a torch file may name: storages, types, and the functions that make tensors of them.

Tensors that are no plain ones (sparse, quantised, on the meta device) are known by what they are; their values are
not read. What lies beside tensors, such as types and generators of random numbers, stands for nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.containers import arrays
from egbas.zoo.containers.standins import Inert, Maker, table_maker
from egbas.zoo.containers.stored import MAX_DIMS, Ledger, Sealed, StoredTensor, check_layout

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
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "QInt8Storage": torch.qint8,
    "QUInt8Storage": torch.quint8,
    "QInt32Storage": torch.qint32,
    "UntypedStorage": torch.uint8,
}
DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}


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


def names_of_tensors(ledger: Ledger) -> dict[tuple[str, str], Any]:
    """What the pickle of a torch file may name.

    Args:
        ledger: counts what is read of the file's tensors.
    """
    rebuild = _Rebuild(ledger)
    quantisers = {name: Inert for name in vars(torch) if name.startswith(("per_tensor_", "per_channel_"))}
    types = {name: StorageType(dtype) for name, dtype in DTYPES.items()}
    storages = {name: StorageType(dtype) for name, dtype in STORAGES.items()}
    return {
        **arrays.NAMES,
        ("collections", "OrderedDict"): table_maker(),
        ("torch", "Size"): Maker(_shape),
        ("torch", "device"): Maker(Inert),
        ("torch", "Tensor"): Inert,
        ("torch._C", "Generator"): Inert,
        ("torch.nn.parameter", "Parameter"): Inert,
        ("torch.nn.parameter", "Buffer"): Inert,
        ("torch.serialization", "_get_layout"): Maker(Inert),
        ("torch._tensor", "_rebuild_from_type"): Maker(rebuild.from_type),
        ("torch._tensor", "_rebuild_from_type_v2"): Maker(rebuild.from_type),
        ("torch._utils", "_rebuild_tensor"): Maker(rebuild.tensor),
        ("torch._utils", "_rebuild_tensor_v2"): Maker(rebuild.tensor),
        ("torch._utils", "_rebuild_tensor_v3"): Maker(rebuild.typed_tensor),
        ("torch._utils", "_rebuild_parameter"): Maker(rebuild.parameter),
        ("torch._utils", "_rebuild_parameter_with_state"): Maker(rebuild.parameter),
        ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): Maker(rebuild.parameter),
        ("torch._utils", "_rebuild_device_tensor_from_numpy"): Maker(rebuild.from_array),
        ("torch._utils", "_rebuild_sparse_tensor"): Maker(rebuild.sparse),
        ("torch._utils", "_rebuild_sparse_csr_tensor"): Maker(rebuild.sparse),
        ("torch._utils", "_rebuild_qtensor"): Maker(rebuild.quantised),
        ("torch._utils", "_rebuild_meta_tensor_no_storage"): Maker(rebuild.meta),
        ("torch._utils", "_rebuild_nested_tensor"): Maker(rebuild.nested),
        ("torch._utils", "_rebuild_wrapper_subclass"): Maker(rebuild.wrapped),
        **{("torch", name): stand_in for name, stand_in in (quantisers | types).items()},
        **{(home, name): it for home in ("torch", "torch.cuda", "torch.storage") for name, it in storages.items()},
    }


class _Rebuild(Sealed):
    """What the functions that make tensors become, for one file; each takes what the file passes it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def tensor(self, block: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
        if not isinstance(block, Block):
            raise CheckpointError("a tensor in it has no bytes; the file is damaged or malicious")
        return _tensor(block, block.dtype, (offset, shape, stride), self._ledger)

    def typed_tensor(self, block: Any, *args: Any) -> StoredTensor:
        match args:
            case (offset, shape, stride, _, _, StorageType(dtype=dtype), *_) if isinstance(block, Block):
                return _tensor(block, dtype, (offset, shape, stride), self._ledger)
        raise CheckpointError("a tensor in it has no bytes or no type; the file is damaged or malicious")

    def parameter(self, value: Any, *_: Any) -> StoredTensor:
        if not isinstance(value, StoredTensor):
            raise CheckpointError("a parameter in it is no tensor; the file is damaged or malicious")
        return value

    def from_type(self, rebuild: Any = None, _: Any = None, args: Any = (), *__: Any) -> Any:
        return rebuild(*args) if isinstance(rebuild, Maker) and isinstance(args, tuple) else Inert()

    def from_array(self, data: Any = None, *_: Any) -> Any:
        return data.stored(self._ledger) if isinstance(data, arrays.Array) else Inert()

    def sparse(self, _: Any = None, data: Any = (), *__: Any) -> StoredTensor:
        sizes = [part for part in data if isinstance(part, tuple)] if isinstance(data, tuple) else []
        return self._odd("sparse", sizes[-1] if sizes else ())

    def quantised(self, _: Any = None, __: Any = None, shape: Any = (), *___: Any) -> StoredTensor:
        return self._odd("quantised", shape)

    def meta(self, _: Any = None, shape: Any = (), *__: Any) -> StoredTensor:
        return self._odd("on the meta device, so that the file has no values of it", shape)

    def nested(self, *_: Any) -> StoredTensor:
        return self._odd("nested", ())

    def wrapped(self, _: Any = None, __: Any = None, shape: Any = (), *___: Any) -> StoredTensor:
        return self._odd("a subclass of Tensor", shape)

    def _odd(self, kind: str, shape: Any) -> StoredTensor:
        sizes = tuple(size for size in _shape(shape) if type(size) is int and 0 <= size < 2**62)
        return StoredTensor(shape=sizes, dtype=torch.float32, read=_no_values, ledger=self._ledger, kind=kind)


def _tensor(block: Block, dtype: torch.dtype, layout: tuple[Any, Any, Any], ledger: Ledger) -> StoredTensor:
    """A tensor in a block of bytes; the layout is its offset, shape and stride."""
    offset, shape, stride = layout
    sizes, steps = check_layout(shape, stride, offset, block.held * block.dtype.itemsize // dtype.itemsize)

    def read() -> Tensor:
        if not math.prod(sizes):
            return torch.empty(sizes, dtype=dtype)
        return torch.frombuffer(block.read(), dtype=dtype).as_strided(sizes, steps, offset)

    return StoredTensor(shape=sizes, dtype=dtype, read=read, ledger=ledger)


def _no_values() -> Tensor:
    raise CheckpointError("a tensor without plain values was read")


def _shape(sizes: Any = ()) -> tuple[Any, ...]:
    return tuple(sizes) if isinstance(sizes, tuple | list) and len(sizes) <= MAX_DIMS else ()
