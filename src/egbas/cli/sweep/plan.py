# SPDX-License-Identifier: MIT
"""The plan of ``egbas sweep``: from options to tasks, and what they will take."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from egbas.cli import ranges, settings, show
from egbas.network import Layer
from egbas.sweep.local import default_workers
from egbas.sweep.plan import DONE, FAILED, Part, Plan, Spans

LOCAL = "local"  # the engine, as command.py has it; that imports this module
MOST_SEEDS = 10_000_000


def plan_of(shops: Mapping[str, Any], layer: str, level: str | None, seed: str, given: Mapping[str, Any]) -> Plan:
    """The plan of the options.

    Raises:
        ConfigError, LayerNotFoundError: a list cannot be read, or names what there is not; no tree can have the step
            size around the first query of the seeds, or one of the file.
    """
    seeds = Spans(ranges.spans(seed, "--seed", MOST_SEEDS))
    levels = None if level is None else ranges.levels(level)
    settings.check_one(level=levels[0] if levels else None, delta=given["delta"], sparsity=given["sparsity"])
    parts = []
    for name, shop in shops.items():
        shop.check_step_size(seeds[0])
        named = {key: shop.layer(key) for key in ranges.layers(layer, shop.network.layers, shop.network.image_size)}
        parts.append(
            Part(
                model=name,
                layers={key: path for path, key in names_of(named).items()},
                levels=levels or shop.levels,
                decides=shop.decides,
                rows=shop.rows,
            )
        )
    return Plan(parts=parts, seeds=seeds)


def names_of(layers: Mapping[int | str, Layer]) -> dict[str, int | str]:
    """The first name of each layer, by its path: ``1,relu1`` is one layer."""
    first: dict[str, int | str] = {}
    for key, one in layers.items():
        first.setdefault(one.path, key)
    return first


def n_workers(engine: str, workers: int | None, device: str) -> int | None:
    """How many workers there will be; None where only the cluster knows."""
    return workers or (default_workers(device) if engine == LOCAL else None)


def tell_plan(
    plan: Plan,
    shops: Mapping[str, Any],
    store: Any,
    workers: int | None,
    *,
    quiet: bool,
) -> dict[str, Any]:
    """What there is to do, and what it will take: a pass of each kind is measured for each model and layer."""
    status: Counter[tuple[str, str]] = Counter()
    with show.progress_bar(quiet) as progress:
        for done, task in enumerate(plan):
            status[task.model, plan.status(store, task)] += 1
            if not done % 1000:
                progress("planning", done, len(plan), "")
    rows, low, high, peak = [], 0.0, 0.0, 0
    for part in plan.parts:
        n_queries = len(plan.seeds) * (1 if part.rows is None else len(part.rows))
        total = len(part.layers) * len(part.levels) * n_queries
        done, failed = status[part.model, DONE], status[part.model, FAILED]
        left = total - done - failed
        if left:
            for layer in part.layers:
                least, most, memory = shops[part.model].estimate(layer, part.levels)
                share = left / len(part.layers)
                low, high, peak = low + share * least, high + share * most, max(peak, memory)
        rows.append(
            {
                "model": part.model,
                "layers": list(part.layers),
                "levels": list(part.levels),
                "queries": n_queries,
                "tasks": total,
                "done": done,
                "failed": failed,
            }
        )
    n = workers or 1
    return {
        "rows": rows,
        "tasks": len(plan),
        "done": sum(row["done"] for row in rows),
        "failed": sum(row["failed"] for row in rows),
        "workers": workers,
        "seconds_low": low / n,
        "seconds_high": high / n,
        "bytes_a_worker": peak,
        "out": str(store.path),
    }


def show_plan(told: Mapping[str, Any]) -> None:
    """Print a plan for people."""
    columns = ["model", "layers", "levels", "queries", "tasks", "done", "failed"]
    lines = [
        [
            row["model"],
            ",".join(map(str, row["layers"])),
            ",".join("-" if level is None else str(level) for level in row["levels"]),
            *(row[name] for name in columns[3:]),
        ]
        for row in told["rows"]
    ]
    show.table(columns, lines)
    if told["seconds_high"]:
        n = told["workers"]
        by = "one worker" if n is None or n == 1 else f"{n} workers"
        low, high = (hours(told[name]) for name in ("seconds_low", "seconds_high"))
        show.say(f"expected: {low} to {high} with {by}, {told['bytes_a_worker'] / 1e9:.1f} GB of memory for each")


def hours(seconds: float) -> str:
    """A time such as ``40 s``, ``12 min`` or ``3.5 h``."""
    for limit, factor, unit in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / factor:.0f} {unit}"
    return f"{seconds / 3600:,.1f} h"
