# SPDX-License-Identifier: MIT
"""Tables 1 and 2 of the face generator, judged by networks that know faces: the paper's celebA question.

Run as ``python -m benchmarks.faces OUT.json WEIGHTS LAYERS SEEDS [EVALUATIONS]``, such as ``1-4 0-9``; it goes on where
it was stopped. With EVALUATIONS, the bound for each region, the whole region and its fair rivals are judged, too. The
judges are those of ``benchmarks.face_judges``: features of a network that tells expressions stand in for the critic's,
for the file has none; and a recogniser says whether a face is still the query's person.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import markdown
from benchmarks.face_judges import SAME_PERSON, Recogniser, expressions
from benchmarks.fair_tables import FACES, SAMPLED, ratio_cell
from egbas.cli.ranges import numbers
from egbas.evaluation.baselines import E_GBAS, L2, METHODS, RADIUS_MATCHED, BaselineSamples
from egbas.evaluation.comparison import (
    CLASS_CONSISTENCY,
    DEVIATION,
    SIMILARITY,
    Score,
    choose_pictured,
    draw_all,
    evaluate,
    images_of,
    ratios,
    summarise,
)
from egbas.evaluation.exact_methods import EXACT, EXACT_METHODS, RIVALS, ExactSettings, draw_exact
from egbas.exploration.result import Exploration
from egbas.reproduce.shared_runs import Explored, beropt_at
from egbas.samplers.choice import PRIOR, rng_of

ROWS = Path(__file__).parent / "faces.json"
SAME, DISTANCE = "same person", "distance of persons"
METRICS = (DEVIATION, f"{SIMILARITY} 1", f"{SIMILARITY} 6", CLASS_CONSISTENCY, SAME)
TOLD = {
    DEVIATION: "deviation",
    f"{SIMILARITY} 1": "features 1",
    f"{SIMILARITY} 6": "features 6",
    CLASS_CONSISTENCY: "same expression",
    SAME: SAME,
}
FACES_JUDGED = 50  # of each method, by the recogniser, which takes 0.07 s each
PRIOR_DRAWS = 50

Row = dict[str, Any]


def measure(run: Exploration, recogniser: Recogniser, most: int | None) -> Row:
    """Judge the samples of every method at one query.

    Args:
        run: the exploration.
        recogniser: tells persons apart.
        most: evaluations of each region; None: the methods of the paper alone.
    """
    start = time.process_time()
    rng = torch.Generator().manual_seed(run.seed)
    samples = draw_all(run, rng=rng)
    prior = run.latent.sample(PRIOR_DRAWS, rng=rng)
    samples.append(BaselineSamples(method=PRIOR, latents=prior, epsilon=None, left_support=0))
    facts: Row = {}
    if most is not None:
        drawn = draw_exact(run, ExactSettings(max_evaluations=most))
        samples += drawn.drawn
        mass = drawn.mass
        facts = {
            "evaluations": most,
            "unconverged": list(drawn.unconverged),
            "log10_mass": [mass.log10, mass.low, mass.high] if mass.is_complete else None,
        }
    judge = expressions()
    scores: dict[str, dict[str, float]] = {drawn.method: {} for drawn in samples}
    for score in evaluate(run, samples, discriminator=judge, classifier=judge):
        scores[score.method][score.metric] = score.value
    (person,) = recogniser(run.query_image[None])
    for drawn in samples:
        distances = np.linalg.norm(recogniser(_some(run, drawn.latents)) - person, axis=1)
        scores[drawn.method] |= {SAME: float((distances < SAME_PERSON).mean()), DISTANCE: float(distances.mean())}
    units = len(run.support.region.units)
    return {"units": units, **facts, "scores": scores, "cpu_seconds": time.process_time() - start}


def _some(run: Exploration, latents: Tensor) -> Tensor:
    chosen = choose_pictured(len(latents), FACES_JUDGED, rng=rng_of("faces", run.seed))
    return images_of(run, latents[chosen])


def scores_of(rows: Sequence[Row]) -> list[Score]:
    """The scores of rows, as the tables of the paper take them."""
    return [
        Score(model=FACES, layer=row["layer"], query=row["seed"], method=method, metric=metric, value=value)
        for row in rows
        for method, values in row["scores"].items()
        for metric, value in values.items()
    ]


def paper_table(rows: Sequence[Row]) -> str:
    """The methods of the paper: for each layer and metric their means, and E-GBAS through each ball."""
    over = (L2, RADIUS_MATCHED)
    names = ["l", "metric", *METHODS, PRIOR, *(f"{E_GBAS} / {name}" for name in over)]
    return markdown.table(names, _lines(rows, (*METHODS, PRIOR), E_GBAS, over))


def fair_table(rows: Sequence[Row]) -> str:
    """The whole region and its fair rivals; at how many queries chains did not converge."""
    some = [row for row in rows if "unconverged" in row]
    over = RIVALS
    names = ["l", "metric", *EXACT_METHODS, PRIOR, *(f"exact / {name}" for name in over)]
    return markdown.table(names, _lines(some, (*EXACT_METHODS, PRIOR), EXACT, over))


def chains_table(rows: Sequence[Row]) -> str:
    """What the rows of the whole region rest on: queries, evaluations, chains, masses."""
    lines = []
    for layer, some in _by_layer([row for row in rows if "unconverged" in row]):
        lost = [f"{sum(name in row['unconverged'] for row in some)}" for name in SAMPLED]
        masses = [row["log10_mass"][0] for row in some if row["log10_mass"]]
        mass = f"{max(masses):.0f} to {min(masses):.0f}" if masses else ""
        units = markdown.span([row["units"] for row in some])
        lines.append([layer, len(some), units, f"{max(row['evaluations'] for row in some):,}", *lost, mass])
    names = ["l", "queries", "units", "evaluations", *(f"not converged: {name}" for name in SAMPLED), "log10 mass"]
    return markdown.table(names, lines)


def _lines(rows: Sequence[Row], methods: Sequence[str], ours: str, over: Sequence[str]) -> list[list[str]]:
    lines = []
    for layer, some in _by_layer(rows):
        scores = scores_of(some)
        means = {(row["method"], row["metric"]): row["mean"] for row in summarise(scores)}
        for metric in METRICS:
            through = {row["method"]: row for row in ratios(scores, metric, ours=ours, others=over)}
            values = [f"{means[name, metric]:.3f}" if (name, metric) in means else "" for name in methods]
            lines.append([str(layer), TOLD[metric], *values, *(ratio_cell(through.get(name)) for name in over)])
    return lines


def _by_layer(rows: Sequence[Row]) -> list[tuple[int, list[Row]]]:
    layers = sorted({row["layer"] for row in rows})
    return [(layer, [row for row in rows if row["layer"] == layer]) for layer in layers]


def main(path: Path, weights: str, layers: str, seeds: str, evaluations: str | None = None) -> None:
    """Measure what is not in the file yet, and print the tables."""
    torch.set_num_threads(1)
    most = None if evaluations is None else int(evaluations)
    rows: list[Row] = json.loads(path.read_text())["rows"] if path.exists() else []
    explored, recogniser = Explored(beropt=beropt_at(None, masks=0)), Recogniser()
    for layer in numbers(layers, "LAYERS"):
        for seed in numbers(seeds, "SEEDS"):
            there = [row for row in rows if (row["layer"], row["seed"]) == (layer, seed)]
            if any(most is None or row.get("evaluations", 0) >= most for row in there):
                continue
            row = {"layer": layer, "seed": seed, **measure(explored(weights, layer, seed), recogniser, most)}
            rows = [one for one in rows if one not in there] + [row]
            path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
            print(layer, seed, f"{row['cpu_seconds']:.0f} s", row.get("unconverged"), flush=True)
    print(paper_table(rows), fair_table(rows), chains_table(rows), sep="\n\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:6])
