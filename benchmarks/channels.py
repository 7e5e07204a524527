# SPDX-License-Identifier: MIT
"""Sets of whole channels beside sets of single units: how small they are, and how far two seeds of BerOpt agree.

Run as ``python -m benchmarks.channels OUT.json``; it goes on where it was stopped. Sets take a quarter
of a minute each, regions one to three.
"""

import json
import sys
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

import egbas
from benchmarks import markdown
from benchmarks.stability import QUERY, agreement
from egbas import BerOptConfig
from egbas.beropt import BerOptResult, optimize
from egbas.beropt.groups import told_groups
from egbas.network import Network

ROWS = Path(__file__).parent / "channels.json"
LAYERS = [("dcgan-mnist-2d", layer) for layer in (1, 2, 3, 4)] + [("pggan-mnist", layer) for layer in (2, 4, 6)]
LAYERS += [("dcgan-mnist", layer) for layer in (1, 2, 3, 4)]
CASES = [(3, "channel"), (3, "unit"), (6, "channel"), (6, "unit")]  # levels, and what is kept or left out as one
SEEDS, SAMPLES, MOST, AWAY = 2, 100, 50_000, 0.01


def sets(name: str, layer: int, level: int, units: str) -> dict[str, Any]:
    """Some seeds of BerOpt at one query, and one at a query near by."""
    start = time.process_time()
    model = egbas.load_model(name)
    split = Network(model.generator, model.latent.shape).split(layer)
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(QUERY))[0]
    step = torch.randn(len(z0), generator=torch.Generator().manual_seed(QUERY + 1))
    tail, config = split.at(z0), BerOptConfig(level=level, units=units)
    found = [optimize(tail, config, rng=torch.Generator().manual_seed(QUERY + seed)) for seed in range(SEEDS)]
    near = optimize(split.at(z0 + AWAY * step / step.norm()), config, rng=torch.Generator().manual_seed(QUERY))
    told = [told_groups(tail.layer, units, one.units) for one in found]
    active = int(tail.is_active.sum())
    return {
        "model": name,
        "layer": layer,
        "level": level,
        "grouped": units,
        "groups": None if told[0] is None else told[0][1],
        "groups_kept": [one[0] for one in told if one is not None],
        "units": [len(one.units) for one in found],
        "errors": [one.fidelity for one in found],
        "active": active,
        "jaccard": fmean([_jaccard(one, other) for one, other in combinations(found, 2)]),
        "jaccard_chance": fmean([_chance(one, other, active) for one, other in combinations(found, 2)]),
        "jaccard_near": _jaccard(found[0], near),
        "cpu_seconds": time.process_time() - start,
    }


def regions(name: str, layer: int, level: int, units: str) -> dict[str, Any]:
    """How far the regions of two seeds agree, and their freedom maps."""
    config = BerOptConfig(level=level, units=units)
    return agreement(egbas.load_model(name), layer, config, samples=SAMPLES, most=MOST, repeats=SEEDS)


def _jaccard(one: BerOptResult, other: BerOptResult) -> float:
    """Units in both sets through units in either."""
    here, there = set(one.units.tolist()), set(other.units.tolist())
    return len(here & there) / len(here | there)


def _chance(one: BerOptResult, other: BerOptResult, active: int) -> float:
    """That of random sets of these sizes among the active units, near enough."""
    n, m = len(one.units), len(other.units)
    return n * m / active / (n + m - n * m / active)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each case; "!" marks cases in which chains did not converge."""
    names = ("model", "layer", "level", "kept as one", "groups", "units", "of active", "error", "Jaccard (chance)")
    more = ("shared (prior)", "map correlation", "freedom") if any("regions" in row for row in rows) else ()
    lines = []
    for row in sorted(rows, key=lambda row: (row["level"], row["model"], row["layer"], row["grouped"])):
        lines.append(
            [
                f"`{row['model']}`",
                row["layer"],
                row["level"],
                row["grouped"],
                "" if row["groups"] is None else f"{markdown.span(row['groups_kept'])} of {row['groups']}",
                markdown.span(row["units"]),
                f"{fmean(row['units']) / row['active']:.0%}",
                f"{max(row['errors']):.3f}",
                f"{row['jaccard']:.2f} ({row['jaccard_chance']:.2f})",
                f"{row['jaccard_near']:.2f}",
                *(_of_regions(row.get("regions")) if more else ()),
            ]
        )
    return markdown.table([*names, "Jaccard at 0.01", *more], lines)


def _of_regions(told: dict[str, Any] | None) -> list[str]:
    if told is None:
        return ["", "", ""]
    one = told["agreement"]
    mark = "" if all(each["status"] == "CONVERGED" for each in told["rows"]) else " !"
    maps = "" if one["map_correlation"] is None else f"{one['map_correlation']:.2f}"
    return [f"{one['shared']:.3f} ({one['shared_prior']:.2f})", f"{maps}{mark}", f"{one['mean']:.2f}"]


def main(path: Path) -> None:
    """Measure what is not in the file yet, the sets of all cases before the regions of any, and print the table."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(row["model"], row["layer"], row["level"], row["grouped"]): row for row in rows}
    cases = [(name, layer, *case) for case in CASES for name, layer in LAYERS]
    for case in cases:
        if case not in done:
            done[case] = sets(*case)
            _keep(path, done, case)
    for case in cases:
        if "regions" not in done[case]:
            done[case]["regions"] = regions(*case)
            _keep(path, done, case)
    print(table(list(done.values())))


def _keep(path: Path, done: dict[Any, dict[str, Any]], case: Any) -> None:
    path.write_text(json.dumps({"rows": list(done.values())}, indent=1) + "\n")
    print(table([done[case]]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
