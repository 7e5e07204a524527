# SPDX-License-Identifier: MIT
"""How far BerOpt's seeds agree, with few masks a step and with many: sets, regions, freedom maps.

Run as ``python -m benchmarks.stability OUT.json [FACES]``; it goes on where it was stopped. A row takes one to ten
minutes. Many masks a step are measured at the first layers alone.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import egbas
from benchmarks import markdown
from egbas import BerOptConfig
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
)
FEW, MANY = 4, 64
WITH_MANY = 6  # of the cases, from the first on
LATER = (("dcgan-mnist", 4), ("pggan-mnist", 6))
MOST_OF_LATER, MOST_OF_FACES = 60_000, 30_000  # evaluations, where a latent takes long
QUERY, REPEATS, SAMPLES, MOST, LEVEL = 3, 5, 200, 200_000, 6


def measure(name: str, path: str, layer: int, masks: int) -> dict[str, Any]:
    """Some seeds of BerOpt at one query, and how far they agree."""
    model = egbas.load_model(path)
    most = MOST_OF_FACES if name == FACES else MOST_OF_LATER if (name, layer) in LATER else MOST
    start = time.process_time()
    config = BerOptConfig(level=LEVEL, masks=masks)
    found = agreement(model, layer, config, samples=SAMPLES, most=most, repeats=REPEATS)
    seconds = time.process_time() - start
    case = {"model": name, "layer": layer, "query": QUERY, "masks": masks, "most": most}
    return {**case, "cpu_seconds": seconds, **found}


def agreement(
    model: Model, layer: int, beropt: BerOptConfig, *, samples: int, most: int, repeats: int
) -> dict[str, Any]:
    """How far some seeds of BerOpt, and their regions, agree at the query."""
    run = egbas.explore(
        model.generator,
        model.latent.sample(1, rng=torch.Generator().manual_seed(QUERY))[0],
        layer,
        rng=QUERY,
        latent=model.latent,
        beropt=beropt,
        samplers=["prior"],
        samples=samples,
        max_evaluations=most,
        repeats=repeats,
    )
    assert run.certainty is not None
    return run.certainty.record()


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each case; "!" marks cases in which chains did not converge."""
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
                f"{_of_mean(one['map_correlation']):.2f}",
                f"{row['cpu_seconds']:.0f}",
            ]
        )
    return markdown.table([*names, *more], lines)


def _of_mean(correlation: float) -> float:
    """What means of so many maps correlate by, where two maps do so (Spearman and Brown)."""
    return REPEATS * correlation / (1 + (REPEATS - 1) * correlation)


def main(path: Path, faces: str | None = None) -> None:
    """Measure what is not in the file yet, and print the table."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(row["model"], row["layer"], row["masks"]) for row in rows}
    for place, (name, layer) in enumerate(CASES):
        file = faces if name == FACES else name
        for masks in (FEW, MANY) if place < WITH_MANY else (FEW,):
            if file is not None and (name, layer, masks) not in done:
                rows.append(measure(name, file, layer, masks))
                path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
                print(name, layer, masks, rows[-1]["agreement"], flush=True)
    print(table(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
