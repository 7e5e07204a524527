# SPDX-License-Identifier: MIT
"""Which of many latents are nearest, and which are closer than a limit: exact, at the speed of a matrix product.

Squared distances of all pairs come from ||a||^2 + ||b||^2 - 2 ab, whose rounding error has a bound. What that
leaves open is decided by the differences of the two latents in float64. So no answer depends on what else
is in the batch, and the trees of all windows are one.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

Array = NDArray[np.floating]

_FEW = 16  # coordinates; so few are cheap in float64, which leaves nothing open
_SMALL = 2**17  # multiplications; NumPy does so few on one thread, and with less ado than torch
_BLOCK = 4096  # nodes whose distances from a window of targets stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Points:
    """Latents, ready to be compared.

    Attributes:
        latents: (n, d), as the tree has them.
        values: (n, d), what is multiplied: the latents, or their offsets from the query in float64 where d is small.
        squares: (n,) of the lengths of ``values``.
    """

    latents: Array
    values: Array
    squares: Array

    def __len__(self) -> int:
        """How many there are."""
        return len(self.latents)

    def __getitem__(self, chosen: slice | NDArray[np.bool_] | NDArray[np.int64]) -> "Points":
        """Some of them."""
        return Points(self.latents[chosen], self.values[chosen], self.squares[chosen])

    def joined(self, other: "Points") -> "Points":
        """These, then those."""
        return Points(
            np.concatenate([self.latents, other.latents]),
            np.concatenate([self.values, other.values]),
            np.concatenate([self.squares, other.squares]),
        )


class Ruler:
    """Makes ``Points`` around one query."""

    def __init__(self, query: Array) -> None:
        """Take the query (d,)."""
        self._query = query.astype(np.float64)
        self._is_small = len(query) <= _FEW

    def points(self, latents: Array) -> Points:
        """Prepare latents (n, d)."""
        values = latents - self._query if self._is_small else latents
        return Points(latents, values, np.einsum("nd,nd->n", values, values))

    def empty(self, n: int, like: Array) -> Points:
        """Room for n latents of the dtype of ``like``; what it holds is undefined."""
        dtype = np.float64 if self._is_small else like.dtype
        latents = np.empty((n, len(self._query)), dtype=like.dtype)
        values = np.empty_like(latents, dtype=dtype) if self._is_small else latents
        return Points(latents, values, np.empty(n, dtype=dtype))


def lengths(differences: Float[NDArray[np.float64], "n d"]) -> Float[NDArray[np.float64], " n"]:
    """Euclidean lengths."""
    return np.sqrt(np.einsum("nd,nd->n", differences, differences))


def nearest(a: Points, b: Points) -> tuple[Int[NDArray[np.int64], " n"], Float[NDArray[np.float64], " n"]]:
    """For each latent of a the nearest of b, the first of several, and its distance.

    Args:
        a: n latents.
        b: m latents, m >= 1.
    """
    n, rows, doubled = len(a), np.arange(len(a)), a.values * -2
    found = np.zeros(n, np.int64)
    least, second = np.full((2, n), np.inf, a.values.dtype)  # of the squared distances, without a's own squares
    for start in range(0, len(b), _BLOCK):
        block = b[start : start + _BLOCK]
        squares = _products(doubled, block.values)
        squares += block.squares
        here = squares.argmin(axis=1)
        best = squares[rows, here]
        squares[rows, here] = np.inf
        second = np.minimum(np.minimum(second, np.maximum(least, best)), squares.min(axis=1))
        found[best < least] = start + here[best < least]
        least = np.minimum(least, best)
    slack = 2 * _error(a, b)
    unclear = (second - least <= slack).nonzero()[0]
    for i, squares in zip(unclear, _products(doubled[unclear], b.values), strict=True):
        close = (squares + b.squares - least[i] <= slack[i]).nonzero()[0]
        found[i] = close[lengths(b.latents[close] - a.latents[i].astype(np.float64)).argmin()]
    return found, lengths(b.latents[found] - a.latents.astype(np.float64))


def closer(a: Points, b: Points, limits: Float[Array, " n"] | float) -> Bool[NDArray[np.bool_], "n m"]:
    """Whether the distance of a[i] and b[j] is less than limits[i].

    Args:
        a: n latents.
        b: m latents.
        limits: one for each of a, or one for all.
    """
    if not len(b):
        return np.zeros((len(a), 0), bool)
    gaps = _products(a.values * -2, b.values)
    gaps += b.squares
    gaps += (a.squares - np.square(limits))[:, None]
    is_closer = gaps < 0
    is_open = np.abs(gaps, out=gaps) <= _error(a, b)[:, None]
    if is_open.any():
        i, j = is_open.nonzero()
        below = limits[i] if isinstance(limits, np.ndarray) else limits
        is_closer[i, j] = lengths(a.latents[i].astype(np.float64) - b.latents[j]) < below
    return is_closer


def _products(a: Array, b: Array) -> Array:
    """Multiply a with b^T on as many threads as torch may use; NumPy's own would fight with those for the cores."""
    if len(a) * b.size <= _SMALL:
        return a @ b.T
    return torch.mm(torch.from_numpy(a), torch.from_numpy(b).T).numpy()


def _error(a: Points, b: Points) -> Float[Array, " n"]:
    """Bound on the rounding error of the squared distances of each row of a."""
    eps = 1.2e-7 if a.values.dtype == np.float32 else 2.3e-16
    return (4 * (a.values.shape[1] + 4) * eps) * (a.squares + b.squares.max())
