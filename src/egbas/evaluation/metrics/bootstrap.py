# SPDX-License-Identifier: MIT
"""Intervals over queries: means and ratios of means, resampled (Efron 1979)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egbas.errors import ShapeError

N_RESAMPLES = 10_000
LEVEL = 0.95


def bootstrap_interval(values: Sequence[float], *, seed: int = 0, level: float = LEVEL) -> tuple[float, float] | None:
    """Interval of the mean over queries: percentiles of the means of resampled queries (Efron 1979).

    Args:
        values: (q,), one for each query.
        seed: of the 10,000 resamples.
        level: share of the resampled means between the two ends.

    Returns:
        Its low and its high end; None for fewer than two queries, which tell nothing of the spread. Of few queries it
        is too narrow: of normal values it holds the mean in 90 % of the cases with ten, 84 % with five, 48 % with two.
    """
    return _interval(lambda chosen: _double(values)[chosen].mean(dim=1), len(values), seed, level)


def bootstrap_ratio(
    values: Sequence[float], reference: Sequence[float], *, seed: int = 0, level: float = LEVEL
) -> tuple[float, float] | None:
    """Interval of mean(values) / mean(reference) over queries, resampled in pairs.

    Both were measured at the same queries, so that what makes one query harder than another cancels out.

    Args:
        values: (q,), one for each query.
        reference: (q,), of the same queries in the same order.
        seed: of the 10,000 resamples.
        level: share of the resampled ratios between the two ends.

    Returns:
        Its low and its high end; None for fewer than two queries, and where the reference is zero in a resample. Of few
        queries it is too narrow, as ``bootstrap_interval`` says.

    Raises:
        ShapeError: the two have different lengths.
    """
    if len(values) != len(reference):
        raise ShapeError(f"{len(values)} values and {len(reference)} references; expected pairs from the same queries")
    above, below = _double(values), _double(reference)
    return _interval(lambda chosen: above[chosen].mean(1) / below[chosen].mean(1), len(values), seed, level)


def _interval(
    statistic: Callable[[Int[Tensor, "resamples q"]], Float[Tensor, " resamples"]], n: int, seed: int, level: float
) -> tuple[float, float] | None:
    if n < 2:
        return None
    chosen = torch.randint(n, (N_RESAMPLES, n), generator=torch.Generator().manual_seed(seed))
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    resampled = statistic(chosen)
    if not bool(resampled.isfinite().all()):
        return None
    low, high = resampled.quantile(ends).tolist()
    return low, high


def _double(values: Sequence[float]) -> Float[Tensor, " q"]:
    return torch.tensor(list(values), dtype=torch.float64)
