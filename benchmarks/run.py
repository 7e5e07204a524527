# SPDX-License-Identifier: MIT
"""``make bench``: every figure beside its rival in the same run; ``python -m benchmarks.run --help``."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import growing, ompl_rival, optimising, scale, startup
from benchmarks.timing import machine

Row = dict[str, Any]
KEYS: dict[str, tuple[Callable[[bool, str], list[Row]], str]] = {
    "gbrrt_vs_loop": (
        growing.vs_loop,
        "times as fast as the literal loop; DCGAN >= 4 on average, all >= 2; PGGAN >= 2",
    ),
    "gbrrt_vs_ompl": (ompl_rival.vs_ompl, "tests per second over OMPL's; >= 4"),
    "gbrrt_vs_limit": (growing.vs_limit, "share of the bare head's speed; >= 0.85"),
    "lockstep": (growing.lockstep, "ten queries, times as fast as one after another; >= 1.5"),
    "tree_growth": (
        scale.tree_growth,
        "time per iteration over that at 1,000 nodes; at 100,000 <= 3 in 2-D, <= 8 in 64-D and 512-D",
    ),
    "beropt_vs_limit": (optimising.vs_limit, "share of the bare tail's forward and backward rate; >= 0.8"),
    "memory": (scale.memory, "peak of an exploration over that of a forward pass; < 8 GB"),
    "startup": (startup.startup, "egbas --help < 0.5 s; explore --samples 0 <= 2.5 times import torch; save <= 0.3 s"),
}
FOLDER = Path(__file__).parent


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="everything, with more repetitions; about half an hour")
    parser.add_argument("--only", nargs="+", choices=KEYS, default=list(KEYS), metavar="KEY", help=", ".join(KEYS))
    parser.add_argument("--device", default="cpu", help="where the networks run")
    parser.add_argument("--out", type=Path, default=FOLDER / "results.json", help="file of the results")
    chosen = parser.parse_args()
    console = Console()
    results: dict[str, Any] = {"machine": machine(chosen.device), "mode": "full" if chosen.full else "quick"}
    before = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    results |= {key: before.get(key, []) for key in KEYS}  # what --only leaves out stays as it was
    for key in chosen.only:
        start = time.perf_counter()
        measure, meaning = KEYS[key]
        results[key] = measure(chosen.full, chosen.device)
        console.print(_table(key, meaning, results[key]))
        console.print(f"{time.perf_counter() - start:.0f} s\n", style="dim")
    chosen.out.write_text(json.dumps(results, indent=2) + "\n")
    console.print(str(chosen.out))


def _table(key: str, meaning: str, rows: list[Row]) -> Table:
    table = Table(title=f"{key}: {meaning}", title_justify="left", min_width=60)
    names = [name for name in (rows[0] if rows else {"not measured": 0}) if not name.startswith("_")]
    for name in names:
        table.add_column(name.replace("_", " "), justify="left" if name in ("model", "what") else "right")
    for row in rows:
        table.add_row(*(_plain(row.get(name)) for name in names))
    ratios = [row["ratio"] for row in rows if str(row["model"]).startswith("dcgan")]
    if len(ratios) == 8:
        table.caption = f"geometric mean over the eight DCGAN layers {statistics.geometric_mean(ratios):.2f}"
    return table


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
