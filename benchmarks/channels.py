# SPDX-License-Identifier: MIT
"""Sets of whole channels beside sets of single units: how small they are, and how far three seeds of BerOpt agree.

Run as ``python -m benchmarks.channels OUT.json``; it goes on where it was stopped. A row takes half a minute to two.
"""

import json
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch

import egbas
from egbas import BerOptConfig
from egbas.beropt import optimize
from egbas.beropt.groups import groups_of, told_groups
from egbas.network import Network

ROWS = Path(__file__).parent / "channels.json"
LAYERS = [("dcgan-mnist-2d", layer) for layer in (1, 2, 3, 4)] + [("pggan-mnist", layer) for layer in (2, 4, 6)]
LAYERS += [("dcgan-mnist", layer) for layer in (1, 2, 3, 4)]
CASES = list(product((3, 6), ("channel", "unit")))  # levels, and what is kept or left out as one
QUERY, REPEATS, SAMPLES, MOST, AWAY = 3, 3, 100, 50_000, 0.01


def measure(name: str, layer: int, level: int, units: str) -> dict[str, Any]:
    """Some seeds of BerOpt at one query, and one at a query near by."""
    start = time.process_time()
    model = egbas.load_model(name)
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(QUERY))[0]
    config = BerOptConfig(level=level, units=units)
    run = egbas.explore(
        model.generator,
        z0,
        layer,
        rng=QUERY,
        latent=model.latent,
        beropt=config,
        samplers=["prior"],
        samples=SAMPLES,
        max_evaluations=MOST,
        repeats=REPEATS,
    )
    assert run.certainty is not None and run.beropt is not None and run.layer is not None
    step = torch.randn(len(z0), generator=torch.Generator().manual_seed(QUERY + 1))
    tail = Network(model.generator, model.latent.shape).split(layer).at(z0 + AWAY * step / step.norm())
    near = optimize(tail, config, rng=torch.Generator().manual_seed(QUERY))
    here, there = (set(one.units.tolist()) for one in (run.beropt, near))
    groups = groups_of(run.layer, units)
    return {
        "model": name,
        "layer": layer,
        "level": level,
        "grouped": units,
        "groups": None if groups is None else list(told_groups(run.layer, units, run.beropt.units) or ())[:2],
        "active": int(tail.is_active.sum()),
        "jaccard_near": len(here & there) / len(here | there),
        "cpu_seconds": time.process_time() - start,
        **run.certainty.record(),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each case; "!" marks cases in which chains did not converge."""
    names = ("model", "layer", "level", "one by one", "groups kept", "units kept", "of active", "error")
    more = ("Jaccard (chance)", "Jaccard at 0.01", "shared (prior)", "map correlation", "freedom")
    lines = [[*names, *more], ["---"] * (len(names) + len(more))]
    for row in sorted(rows, key=lambda row: (row["model"], row["layer"], row["level"], row["grouped"])):
        one, units = row["agreement"], [each["units"] for each in row["rows"]]
        mark = "" if all(each["status"] == "CONVERGED" for each in row["rows"]) else " !"
        maps = "" if one["map_correlation"] is None else f"{one['map_correlation']:.2f}"
        lines.append(
            [
                f"`{row['model']}`",
                row["layer"],
                row["level"],
                row["grouped"],
                "" if row["groups"] is None else f"{row['groups'][0]} of {row['groups'][1]}",
                f"{min(units)} to {max(units)}",
                f"{sum(units) / len(units) / row['active']:.0%}",
                f"{max(each['error'] for each in row['rows']):.3f}",
                f"{row['jaccard']:.2f} ({row['jaccard_chance']:.2f})",
                f"{row['jaccard_near']:.2f}",
                f"{one['shared']:.3f} ({one['shared_prior']:.2f})",
                f"{maps}{mark}",
                f"{one['mean']:.2f}",
            ]
        )
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main(path: Path) -> None:
    """Measure what is not in the file yet, and print the table."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(row["model"], row["layer"], row["level"], row["grouped"]) for row in rows}
    for level, units in CASES:
        for name, layer in LAYERS:
            if (name, layer, level, units) not in done:
                rows.append(measure(name, layer, level, units))
                path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
                print(table(rows[-1:]).splitlines()[-1], flush=True)
    print(table(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
