# SPDX-License-Identifier: MIT
"""Whether chains agree, and how many independent draws theirs are worth (Vehtari et al. 2021).

In: draws of many chains. Out: rank-normalised split R-hat and bulk effective sample size, the worst over the
coordinates, the distance to the query and whatever else is asked about.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from egbas.samplers.kernel import Array

LARGEST_R_HAT = 1.05  # of chains that are said to agree
_FEWEST = 4  # draws of a chain: two in each half
_AT_ONCE = 2**20  # values of series; of these the statistics make some ten copies


@dataclass(frozen=True, kw_only=True)
class Diagnostics:
    """How far chains have converged.

    What cannot be told counts as the worst: series that are not finite, do not move, or are too short have an R-hat
    of infinity and no effective draw. Where chains disagree, their effective draws are no more than the variance
    between them allows: a short chain cannot see how long it remembers.

    Attributes:
        r_hat: rank-normalised split R-hat, the worst over all series; 1 is best.
        ess: bulk effective sample size, the worst over all series, in draws.
        worst: name of the series with the largest R-hat.
        n_chains: chains.
        n_draws: draws of each.
    """

    r_hat: float
    ess: float
    worst: str
    n_chains: int
    n_draws: int

    @property
    def text(self) -> str:
        """Such as ``R-hat 1.21, 40 effective draws``."""
        r_hat = f"{self.r_hat:.2f}" if self.r_hat < 100 else "above 100"
        return f"R-hat {r_hat}, {self.ess:.0f} effective draws"


def diagnose(
    draws: Float[Tensor, "chains n d"],
    query: Float[Tensor, " d"],
    extra: Mapping[str, Float[Tensor, "chains n"]] | None = None,
) -> Diagnostics:
    """Diagnose the coordinates of draws, |z - z0|, and further series.

    Args:
        draws: states of the chains, in order.
        query: z0.
        extra: further series by their names, such as the image distance. One that is the same everywhere is passed
            over: it says nothing about the chains.
    """
    z = draws.numpy(force=True).astype(np.float64, copy=False)
    names = [f"coordinate {i}" for i in range(z.shape[2])]
    around = query.numpy(force=True).astype(np.float64)
    series = [np.stack([np.linalg.norm(chain - around, axis=1) for chain in z])]
    names.append("|z - z0|")
    for name, values in (extra or {}).items():
        array = values.numpy(force=True).astype(np.float64)
        if np.ptp(array) != 0:
            series.append(array)
            names.append(name)
    of_coordinates, beside = _of_coordinates(z), _r_hats_and_sizes(np.stack(series))
    r_hats, sizes = (np.concatenate(each) for each in zip(of_coordinates, beside, strict=True))
    worst = int(np.argmax(r_hats))
    return Diagnostics(
        r_hat=float(r_hats[worst]),
        ess=float(sizes.min()),
        worst=names[worst],
        n_chains=z.shape[0],
        n_draws=z.shape[1],
    )


def diagnose_series(series: Mapping[str, Float[Tensor, "chains n"]], *, n_chains: int) -> Diagnostics | None:
    """Diagnose series of one value a draw alone, such as the image distance; None where none of them moves.

    Args:
        series: by their names; one that is the same everywhere is passed over: it says nothing about the chains.
        n_chains: that they are of.
    """
    arrays = {name: values.numpy(force=True).astype(np.float64) for name, values in series.items()}
    moving = {name: array for name, array in arrays.items() if np.ptp(array) != 0}
    if not moving:
        return None
    stacked = np.stack(list(moving.values()))
    r_hats, sizes = _r_hats_and_sizes(stacked)
    worst = int(np.argmax(r_hats))
    return Diagnostics(
        r_hat=float(r_hats[worst]),
        ess=float(sizes.min()),
        worst=list(moving)[worst],
        n_chains=n_chains,
        n_draws=stacked.shape[2],
    )


def r_hat_between(draws: Float[Tensor, "chains n d"], groups: NDArray[np.int64]) -> float:
    """R-hat of groups of chains, each group taken as one long chain: whether they agree, whatever each does within.

    Args:
        draws: states of the chains, in order.
        groups: (chains,) the number of each chain's group; of each, the first chains are taken, as many of all.

    Returns:
        The worst over the coordinates; NaN for a single group, and infinity where it cannot be told.
    """
    numbers, counts = np.unique(groups, return_counts=True)
    if len(numbers) < 2:
        return math.nan
    z = draws.numpy(force=True).astype(np.float64, copy=False)
    # In the order of time, so that halves are early and late.
    members = [np.flatnonzero(groups == number)[: counts.min()] for number in numbers]
    worst = []
    for begin, end in _blocks(z):
        of_groups = [z[group, :, begin:end].swapaxes(0, 1).reshape(-1, end - begin) for group in members]
        worst.append(_r_hats_and_sizes(np.moveaxis(np.stack(of_groups), 2, 0))[0].max())
    return float(max(worst))


def _of_coordinates(z: Float[Array, "chains n d"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
    """R-hat and effective sample size of each coordinate, of so many at once that they take little memory."""
    found = [_r_hats_and_sizes(np.stack([z[:, :, i] for i in range(begin, end)])) for begin, end in _blocks(z)]
    r_hats, sizes = zip(*found, strict=True)
    return np.concatenate(r_hats), np.concatenate(sizes)


def _blocks(z: Float[Array, "chains n d"]) -> list[tuple[int, int]]:
    """The coordinates in blocks."""
    d, each = z.shape[2], max(1, _AT_ONCE // max(1, z.shape[0] * z.shape[1]))
    return [(begin, min(begin + each, d)) for begin in range(0, d, each)]


def _r_hats_and_sizes(series: Float[Array, "s chains n"]) -> tuple[Float[Array, " s"], Float[Array, " s"]]:
    """R-hat and bulk effective sample size of each series; infinity and 0 where they cannot be told."""
    from arviz_stats.base.array import array_stats

    r_hats, sizes = np.full(len(series), np.inf), np.zeros(len(series))
    moves = np.isfinite(series).all(axis=(1, 2)) & (np.ptp(series, axis=(1, 2)) > 0)
    if series.shape[2] < _FEWEST or not moves.any():
        return r_hats, sizes
    with np.errstate(invalid="ignore", divide="ignore"):  # a chain that stands still has no variance
        results = (method(series[moves], chain_axis=1, draw_axis=2) for method in (array_stats.rhat, array_stats.ess))
        r_hats[moves], sizes[moves] = results
    is_known = ~(np.isnan(r_hats) | np.isnan(sizes))
    sizes = np.where(r_hats > LARGEST_R_HAT, np.minimum(sizes, _allowed(r_hats, series.shape)), sizes)
    return np.where(is_known, r_hats, np.inf), np.where(is_known, sizes, 0.0)


def _allowed(r_hats: Float[Array, " s"], shape: tuple[int, ...]) -> Float[Array, " s"]:
    """Effective draws by the variance between half chains (Gelman et al. 2003, section 11.6): m n var+ / B."""
    n_halves, n = 2 * shape[1], shape[2] // 2
    # R-hat^2 = var+ / W and var+ = W (n - 1) / n + B / n; written so that infinity gives the number of halves
    return n_halves / (1 - (1 - 1 / n) / r_hats**2)
