# SPDX-License-Identifier: MIT
"""The tables of docs/exact-samples.md and docs/held-and-free.md, from the rows of ``benchmarks.exact_samples``.

Run as ``python -m benchmarks.exact_tables [ROWS.json]``.
"""

import json
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import markdown
from benchmarks.exact_samples import WANTED

Row = dict[str, Any]

ROWS = Path(__file__).parent / "exact_samples.json"
_RESAMPLES = 10_000


def samples_table(rows: Sequence[Row]) -> str:
    """What exact samples took, one line for each query that many draws were wanted of; "!" marks no convergence."""
    names = ("model", "layer", "seed", "units kept", "seconds", "evaluations", "R-hat", "effective draws")
    lines = []
    for row in sorted((row for row in rows if row["wanted"] == WANTED), key=_place):
        seconds = row["cpu_seconds_of_all"]
        mark = "" if row["status"] == "CONVERGED" else " !"
        cells = (f"`{row['model']}`", row["layer"], row["seed"], row["units_kept"], f"{seconds:.0f}")
        more = (f"{row['evaluations']:,}", f"{row['r_hat']:.3f}{mark}", f"{row['ess']:.0f}", _mass(row["log10_mass"]))
        lines.append((*cells, *more, f"{row['distance_exact']:.2f}", f"{row['distance_tree']:.2f}"))
    return markdown.table((*names, "log10 mass", "exact samples lie at", "the tree's at"), lines)


def freedom_table(rows: Sequence[Row]) -> str:
    """Freedom of exact samples and of the tree at each layer: means over queries, with 95 % bootstrap intervals."""
    names = ("model", "layer", "queries", "units kept", "freedom, exact samples", "freedom, tree", "median distance")
    lines = []
    for (model, layer), group in groupby(sorted(rows, key=_place), key=lambda row: (row["model"], row["layer"])):
        some = list(group)
        units = f"{np.mean([row['units_kept'] for row in some]):.0f}"
        freedom = (_interval([row[key] for row in some]) for key in ("freedom", "freedom_tree"))
        far = (f"{np.mean([row['image_distance'][k] for row in some]):.2f}" for k in (1, 2))
        lines.append((f"`{model}`", layer, len(some), units, *freedom, *far))
    return markdown.table((*names, "95 %"), lines)


def _place(row: Row) -> tuple[str, int, int]:
    return row["model"], row["layer"], row["seed"]


def _mass(mass: Sequence[float] | None) -> str:
    return "" if mass is None else f"{mass[0]:.1f} [{mass[1]:.1f}, {mass[2]:.1f}]"


def _interval(values: Sequence[float]) -> str:
    """The mean, and an interval by resampling queries; none of a single one."""
    mean = float(np.mean(values))
    if len(values) == 1:
        return f"{mean:.2f}"
    means = np.random.default_rng(0).choice(values, (_RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return markdown.interval(mean, low, high)


def main(path: Path) -> None:
    """Print both tables, and the runs that did not converge."""
    rows = json.loads(path.read_text())["rows"]
    print(samples_table(rows), freedom_table(rows), sep="\n\n")
    for row in rows:
        if row["status"] != "CONVERGED":
            print(*(row[key] for key in ("model", "layer", "seed", "r_hat", "ess", "evaluations", "wanted")))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
