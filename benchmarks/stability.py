# SPDX-License-Identifier: MIT
"""How far BerOpt's seeds agree, with few masks a step and with many: sets, regions, freedom maps.

Run as ``python -m benchmarks.stability OUT.json [FACES]``; it goes on where it was stopped. A row takes one to ten
minutes. Many masks a step are measured at the first layers alone. With few, ten seeds are asked: their maps tell how
far the mean map of five is that of five others.
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
from torch import Tensor

import egbas
from benchmarks import markdown
from egbas import BerOptConfig
from egbas.exploration.certainty import Certainty, certainty_of
from egbas.exploration.repeats import repeat_of, seeds_again
from egbas.exploration.result import Exploration
from egbas.samplers.choice import rng_of
from egbas.zoo.models import Model

FACES = "faces"
ROWS = Path(__file__).parent / "stability.json"
CASES = (
    ("dcgan-mnist", 2),
    ("pggan-mnist", 2),
    ("dcgan-mnist-2d", 1),
    ("dcgan-mnist-2d", 2),
    ("dcgan-mnist", 1),
    ("dcgan-mnist", 3),
    ("pggan-mnist", 4),
    ("dcgan-mnist-2d", 3),
    ("dcgan-mnist-2d", 4),
    ("dcgan-mnist", 4),
    ("pggan-mnist", 6),
    (FACES, 1),
    (FACES, 2),
    (FACES, 3),
    (FACES, 4),
)
FEW, MANY = 4, 64
WITH_MANY = 6  # of the cases, from the first on
LATER = (("dcgan-mnist", 4), ("pggan-mnist", 6))
MOST_OF_LATER, MOST_OF_FACES = 60_000, 30_000  # evaluations, where a latent takes long
QUERY, REPEATS, SAMPLES, MOST, LEVEL = 3, 5, 200, 200_000, 6
ALL = 2 * REPEATS  # seeds of BerOpt, whose maps are parted in two halves
MEAN = "mean_of_five"


def measure(name: str, path: str, layer: int, masks: int) -> dict[str, Any]:
    """Some seeds of BerOpt at one query, and how far they agree."""
    model = egbas.load_model(path)
    most = MOST_OF_FACES if name == FACES else MOST_OF_LATER if (name, layer) in LATER else MOST
    start = time.process_time()
    config = BerOptConfig(level=LEVEL, masks=masks)
    seeds = [QUERY, *seeds_again(QUERY, (ALL if masks == FEW else REPEATS) - 1)]
    runs = [sampled(model, layer, config, seed, most) for seed in seeds[:REPEATS]]
    found = certainty_by_runs(runs)  # as ``--repeats 5`` tells it
    seconds = time.process_time() - start
    case = {"model": name, "layer": layer, "query": QUERY, "masks": masks, "most": most}
    row = {**case, "cpu_seconds": seconds, **found.record()}
    if masks != FEW:
        return row
    runs += [sampled(model, layer, config, seed, most) for seed in seeds[REPEATS:]]
    maps = torch.stack([run.freedom for run in runs if run.freedom is not None])
    return {**row, MEAN: of_halves(maps), "freedoms": [run.facts.mean for run in runs if run.facts is not None]}


def sampled(model: Model, layer: int, beropt: BerOptConfig, seed: int, most: int) -> Exploration:
    """Exact samples of the region that a seed of BerOpt finds at the query."""
    return _explored(model, layer, beropt, rng=seed, samples=SAMPLES, max_evaluations=most, mass=False)


def certainty_by_runs(runs: Sequence[Exploration]) -> Certainty:
    """How far runs of other seeds agree."""
    run = runs[0]
    active = int(run.support.region.split.at(run.query).is_active.sum())
    rng = rng_of("certainty", run.seed)
    return certainty_of(list(map(repeat_of, runs)), active, run.network, run.latent, run.query, rng=rng)


def of_halves(maps: Tensor) -> list[float]:
    """What the mean maps of two halves correlate by: mean, least and most over all ways to part the maps in two.

    Args:
        maps: (n, ...) freedom maps, NaN where there is none; n even.
    """
    n = len(maps)
    flat = maps.flatten(1)[:, maps.isfinite().all(dim=0).flatten()].double()
    found = []
    for half in combinations(range(n), n // 2):
        if 0 in half:  # each way once
            others = [i for i in range(n) if i not in half]
            means = torch.stack([flat[list(half)].mean(dim=0), flat[others].mean(dim=0)])
            found.append(torch.corrcoef(means)[0, 1].item())
    return [fmean(found), min(found), max(found)]


def agreement(
    model: Model, layer: int, beropt: BerOptConfig, *, samples: int, most: int, repeats: int
) -> dict[str, Any]:
    """How far some seeds of BerOpt, and their regions, agree at the query."""
    run = _explored(model, layer, beropt, rng=QUERY, samples=samples, max_evaluations=most, repeats=repeats)
    assert run.certainty is not None
    return run.certainty.record()


def _explored(model: Model, layer: int, beropt: BerOptConfig, **asked: Any) -> Exploration:
    """Exact samples at the query; ``asked`` says of which seed, and how many."""
    query = model.latent.sample(1, rng=torch.Generator().manual_seed(QUERY))[0]
    return egbas.explore(model.generator, query, layer, latent=model.latent, beropt=beropt, samplers=["prior"], **asked)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each case; "!" marks cases in which chains did not converge, "~" what is only foretold."""
    names = ("model", "layer", "masks", "units", "error", "Jaccard (chance)", "core", "shared (prior)")
    more = ("freedom [95 %]", "map correlation", "ceiling", "mean of five", "CPU seconds")
    lines = []
    for row in sorted(rows, key=lambda row: (row["model"], row["layer"], row["masks"])):
        one, units = row["agreement"], [each["units"] for each in row["rows"]]
        mark = "" if all(each["status"] == "CONVERGED" for each in row["rows"]) else " !"
        error = max(each["error"] for each in row["rows"])
        lines.append(
            [
                f"`{row['model']}`",
                row["layer"],
                row["masks"],
                f"{min(units)} to {max(units)}",
                f"{error:.3f}",
                f"{row['jaccard']:.2f} ({row['jaccard_chance']:.2f})",
                row["core"],
                f"{one['shared']:.3f} ({one['shared_prior']:.2f})",
                markdown.interval(one["mean"], one["low"], one["high"]),
                f"{one['map_correlation']:.2f}{mark}",
                f"{one['map_ceiling']:.2f}",
                _told_mean(row),
                f"{row['cpu_seconds']:.0f}",
            ]
        )
    return markdown.table([*names, *more], lines)


def _told_mean(row: dict[str, Any]) -> str:
    """Mean and least correlation of means of five where they were measured, else what pairs foretell."""
    if MEAN not in row:
        return f"~{_of_mean(row['agreement']['map_correlation']):.2f}"
    mean, least, _ = row[MEAN]
    return f"{mean:.2f} ({least:.2f})"


def _of_mean(correlation: float) -> float:
    """What means of so many maps correlate by, where two maps do so (Spearman and Brown)."""
    return REPEATS * correlation / (1 + (REPEATS - 1) * correlation)


def main(path: Path, faces: str | None = None) -> None:
    """Measure what is not in the file yet, and print the table."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(row["model"], row["layer"], row["masks"]) for row in rows if MEAN in row or row["masks"] != FEW}
    for place, (name, layer) in enumerate(CASES):
        file = faces if name == FACES else name
        for masks in (FEW, MANY) if place < WITH_MANY else (FEW,):
            if file is not None and (name, layer, masks) not in done:
                row = measure(name, file, layer, masks)
                rows = [one for one in rows if (one["model"], one["layer"], one["masks"]) != (name, layer, masks)]
                rows.append(row)
                path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
                print(name, layer, masks, row.get(MEAN), row["agreement"], flush=True)
    print(table(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
