# SPDX-License-Identifier: MIT
"""The kept units as rows of a matrix A, for products with what a stem computes, and for those back with A^T.

A sparse matrix of torch writes each unit's weights out, twice: 16 bytes for each. That is quickest as long as it fits.
Of a large layer it would take gigabytes, where units share the rows of their convolution: these are used in place.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, no_type_check, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from egbas.machine.compiled import compiled
from egbas.machine.threads import at_once
from egbas.region.kept_units import Array, KeptUnits, Packed, fill_values

Places = NDArray[np.int32]  # as torch and SciPy take them; half the memory of int64

MANY = 2**23  # weights of all units together; both sparse matrices of so many take 134 MB


@runtime_checkable
class Rows(Protocol):
    """A (k, m); x is flat, with the channels of a position side by side."""

    def values(self, x: Float[Tensor, "n m"], offset: Float[Tensor, "k 1"]) -> Float[Tensor, "k n"]:
        """A x^T + offset."""
        ...

    def turned(self, v: Float[Tensor, "k n"]) -> Float[Tensor, "n m"]:
        """(A^T v)^T."""
        ...


def rows_of(units: KeptUnits, factor: Float[Array, " k"], in_shape: tuple[int, ...], *, many: int = MANY) -> Rows:
    """The rows of units, each times a factor.

    Args:
        units: kept units of a layer with a stem.
        factor: (k,) that each row is multiplied by.
        in_shape: of what the stem computes, without the batch: (c, h, w) or (m,).
        many: weights, from which on they are not written out.
    """
    packed = units.packed
    if int((packed.height * packed.width).sum()) >= many:
        shape = (1, *in_shape) if len(in_shape) == 1 else (in_shape[1], in_shape[2] * in_shape[0])
        no_offset = np.zeros_like(packed.offset)
        return WindowRows(packed=packed._replace(scale=factor * packed.scale, offset=no_offset), shape=shape)
    return SparseRows.of(packed, factor * packed.scale, in_shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseRows:
    """Rows that are written out.

    Attributes:
        matrix: A (k, m), sparse.
        transposed: A^T (m, k), sparse.
    """

    matrix: Tensor
    transposed: Tensor

    @classmethod
    def of(cls, packed: Packed, scale: Float[Array, " k"], in_shape: tuple[int, ...]) -> "SparseRows":
        """Write them row after row, as they lie in memory in the end.

        Torch's ways from one sparse form to another take several times the memory.
        """
        from scipy.sparse import csr_array

        in_width = math.prod(in_shape) if len(in_shape) == 1 else in_shape[0] * in_shape[2]
        starts = np.concatenate([[0], np.cumsum(packed.height * packed.width)]).astype(np.int32)
        places, values = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
        for unit, of_unit in enumerate(scale):
            here = slice(starts[unit], starts[unit + 1])
            places[here], weights = _window(packed, unit, in_width)
            values[here] = weights.astype(np.float64) * of_unit
        shape = (len(scale), math.prod(in_shape))
        turned: Any = csr_array((values, places, starts), shape=shape).tocsc()  # its columns are the rows of A^T
        return cls(
            matrix=_compressed(starts, places, values, shape),
            transposed=_compressed(turned.indptr, turned.indices, turned.data, shape[::-1]),
        )

    def values(self, x: Float[Tensor, "n m"], offset: Float[Tensor, "k 1"]) -> Float[Tensor, "k n"]:
        """A x^T + offset."""
        return torch.addmm(offset, self.matrix, x.T)

    def turned(self, v: Float[Tensor, "k n"]) -> Float[Tensor, "n m"]:
        """(A^T v)^T."""
        return (self.transposed @ v.contiguous()).T


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowRows:
    """Rows that units share.

    Attributes:
        packed: the units; their scales are those of the rows, and they have no offset.
        shape: (h, w c) of what the stem computes.
    """

    packed: Packed
    shape: tuple[int, ...]

    def values(self, x: Float[Tensor, "n m"], offset: Float[Tensor, "k 1"]) -> Float[Tensor, "k n"]:
        """A x^T + offset."""
        given, values = x.contiguous().numpy().reshape(len(x), *self.shape), np.empty((len(x), len(offset)), np.float32)
        self._share(lambda some: fill_values(given[some], self.packed, values[some]), len(x))
        return torch.from_numpy(values).T + offset

    def turned(self, v: Float[Tensor, "k n"]) -> Float[Tensor, "n m"]:
        """(A^T v)^T."""
        given, gradient = v.T.contiguous().numpy(), np.zeros((v.shape[1], *self.shape), np.float32)
        self._share(lambda some: _spread(given[some], self.packed, gradient[some]), len(given))
        return torch.from_numpy(gradient).flatten(1)

    @staticmethod
    def _share(work: Callable[[slice], None], n: int) -> None:
        """Do work on n latents, side by side where torch has threads."""
        n_chunks = max(1, min(n, torch.get_num_threads()))
        at_once(work, [slice(n * i // n_chunks, n * (i + 1) // n_chunks) for i in range(n_chunks)])


@compiled()
@no_type_check
def _spread(v, packed, gradient):
    for i in range(len(v)):
        for unit in range(len(packed.row)):
            if v[i, unit] != 0:
                _add(gradient[i], packed, unit, np.float32(packed.scale[unit] * v[i, unit]))


@compiled()
@no_type_check
def _add(gradient, packed, unit, factor):
    rows, row, width = packed.rows, np.uint64(packed.row[unit]), np.uint64(packed.width[unit])
    top, left = np.uint64(packed.x_top[unit]), np.uint64(packed.x_left[unit])
    row_top, row_left = np.uint64(packed.row_top[unit]), np.uint64(packed.row_left[unit])
    for i in range(np.uint64(packed.height[unit])):
        for j in range(width):
            gradient[top + i, left + j] += factor * rows[row, row_top + i, row_left + j]


def _window(packed: Packed, unit: int, in_width: int) -> tuple[NDArray[np.int64], Array]:
    """The places in x of one unit's window, and its weights."""
    height, width = packed.height[unit], packed.width[unit]
    top, left = packed.row_top[unit], packed.row_left[unit]
    weights = packed.rows[packed.row[unit], top : top + height, left : left + width]
    y = packed.x_top[unit] + np.arange(height)[:, None]
    return (y * in_width + packed.x_left[unit] + np.arange(width)).reshape(-1), weights.reshape(-1)


def _compressed(starts: Places, places: Places, values: Array, shape: tuple[int, ...]) -> Tensor:
    """A sparse matrix by rows, whose products are several times as fast; another form of it where torch has none."""
    rows, columns, weights = (torch.from_numpy(part) for part in (starts, places, values))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls them beta
        compressed = torch.sparse_csr_tensor(rows, columns, weights, shape, check_invariants=True)
    try:
        torch.mm(compressed, torch.zeros(shape[1], 1, dtype=torch.float32))
    except RuntimeError:
        return compressed.to_sparse_coo()
    return compressed
