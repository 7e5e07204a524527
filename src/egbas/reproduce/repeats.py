# SPDX-License-Identifier: MIT
"""What BerOpt's masks make of a table: its ratios at each query, over several seeds of BerOpt.

In: scores with each seed. Out: for each query and ratio the mean over the seeds, with its interval. Beside it stands
the interval over queries, of the table itself: the two are different doubts.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from egbas.evaluation.comparison import Score
from egbas.exploration.certainty import student_t

Rows = list[dict[str, Any]]
_KEY = ("model", "layer", "query", "metric", "method")


def over_seeds(sets: Sequence[Sequence[Score]], ratios_of: Callable[[Sequence[Score]], Rows]) -> Rows:
    """The ratios of a table at each query, over seeds of BerOpt.

    Args:
        sets: the scores with each seed, of the same queries; at least two.
        ratios_of: the ratios of a table, of some scores; those of one query are taken for themselves.

    Returns:
        Rows {"model", "layer", "query", "metric", "method", "mean", "low", "high", "least", "most", "n_seeds"}: the
        geometric mean over the seeds, and the ends of its 95 % interval (Student's t of the logarithms). A ratio that
        is not positive with all seeds is left out, and one that a single seed has.
    """
    values: dict[tuple[Any, ...], list[float]] = {}
    for scores in sets:
        for query in dict.fromkeys(score.query for score in scores):
            for row in ratios_of([score for score in scores if score.query == query]):
                key = tuple({**row, "query": query}[name] for name in _KEY)
                values.setdefault(key, []).append(row["mean"])
    told = {key: some for key, some in values.items() if len(some) > 1 and min(some) > 0}
    return [dict(zip(_KEY, key, strict=True)) | _estimate(some) for key, some in told.items()]


def as_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]] | None:
    """Headings and lines for the terminal: the ratios of each query over the seeds; None without other seeds."""
    rows = content.get("over_seeds")
    if not rows:
        return None
    columns = list(dict.fromkeys((_short(row["metric"]), row["method"]) for row in rows))
    cells: dict[tuple[Any, ...], dict[tuple[str, str], str]] = {}
    for row in rows:
        line = cells.setdefault((row["model"], row["layer"], row["query"]), {})
        line[_short(row["metric"]), row["method"]] = told_ratio(row)
    headings = ["model", "l", "query", *(f"{ours} / {method}" for ours, method in columns)]
    return headings, [[*map(str, key), *(line.get(one, "-") for one in columns)] for key, line in cells.items()]


def told_ratio(row: dict[str, Any]) -> str:
    """A ratio with its interval, where it has one."""
    interval = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['mean']:.3f}{interval}"


def _short(metric: str) -> str:
    """``E-GBAS / baseline, deviation`` without what all ratios of Table 1 have in common."""
    ours, _, what = metric.partition(" / baseline, ")
    return ours if what == "deviation" else f"{what}: {ours}"


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of few values, and the ends of its 95 % interval (Student's t), which resampling would make too narrow.

    Args:
        values: two or more.
    """
    mean, n = statistics.fmean(values), len(values)
    width = student_t(n) * statistics.stdev(values) / math.sqrt(n)
    return mean, mean - width, mean + width


def ratio_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean of few ratios, and the ends of its 95 % interval (Student's t of the logarithms).

    Args:
        values: two or more, each above 0.
    """
    mean, low, high = map(math.exp, mean_interval([math.log(value) for value in values]))
    return mean, low, high


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    mean, low, high = ratio_interval(values)
    ends = {"low": low, "high": high, "least": min(values), "most": max(values)}
    return {"mean": mean, **ends, "n_seeds": len(values)}
