# SPDX-License-Identifier: MIT
"""Does it matter that chains did not converge? The same regions, with ten times the evaluations.

Run as ``python -m benchmarks.longer_chains OUT.json MODEL:LAYER ... [--seeds 0-4]``; it goes on where it was stopped.
The regions are those of Table 1, whose exact rows allow 200,000 evaluations of each. A long run ends when its chains
agree, or at the bound.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import egbas
from benchmarks import markdown
from benchmarks.balls import told_ratio
from egbas.cli.ranges import numbers
from egbas.evaluation.baselines import BaselineSamples
from egbas.evaluation.comparison import DEVIATION, evaluate
from egbas.evaluation.exact_methods import EXACT, ExactSettings
from egbas.exploration.result import Exploration
from egbas.reproduce.shared_runs import Explored
from egbas.samplers.choice import PRIOR

ROWS = Path(__file__).parent / "longer_chains.json"
SHORT = ExactSettings().max_evaluations
LONG = 10 * SHORT

Row = dict[str, Any]


def sampled(run: Exploration, most: int) -> Row:
    """Exact samples of a run's region within a bound, and how much their images deviate."""
    start = time.process_time()
    found = egbas.explore(
        run.generator,
        run.query,
        rng=run.seed,
        region=run.support.region,
        samplers=[PRIOR],
        samples=ExactSettings().samples,
        max_evaluations=most,
        latent=run.latent,
        geometry=run.latent.geometry,
        model_name=run.model_name,
    )
    assert found.exact is not None
    drawn = BaselineSamples(method=EXACT, latents=found.exact.latents, epsilon=None, left_support=0)
    deviation = next(score.value for score in evaluate(run, [drawn]) if score.metric == DEVIATION)
    return {
        "evaluations": found.exact.evaluations,
        "status": found.exact.status,
        "r_hat": found.exact.facts["r_hat"],
        "deviation": deviation,
        "cpu_seconds": time.process_time() - start,
    }


def table(rows: Sequence[Row]) -> str:
    """For each layer the queries that agreed within either bound, and the deviations of the long through the short."""
    names = ("model", "l", "queries", "R-hat: short", "long", "converged: short", "long", "evaluations: long")
    lines = []
    for model, layer in sorted({(row["model"], row["layer"]) for row in rows}):
        some = [row for row in rows if (row["model"], row["layer"]) == (model, layer)]
        each = {name: [row[name] for row in some] for name in ("short", "long")}
        r_hats = [[one["r_hat"] for one in each[name]] for name in each]
        agreed = [sum(one["status"] == "CONVERGED" for one in each[name]) for name in each]
        evaluations = f"{max(one['evaluations'] for one in each['long']):,}"
        ratio = told_ratio(*([one["deviation"] for one in each[name]] for name in ("long", "short")))
        spans = [f"{min(one):.2f} to {max(one):.2f}" for one in r_hats]
        lines.append([f"`{model}`", layer, len(some), *spans, *agreed, evaluations, ratio])
    return markdown.table([*names, "deviation: long / short"], lines)


def main() -> None:
    """Measure what is not in the file yet, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("layers", nargs="+", metavar="MODEL:LAYER")
    parser.add_argument("--seeds", default="0-4")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = json.loads(asked.path.read_text())["rows"] if asked.path.exists() else []
    explored = Explored()
    for name in asked.layers:
        model, layer = name.rsplit(":", 1)
        for seed in numbers(asked.seeds, "--seeds"):
            key = {"model": model, "layer": int(layer), "seed": seed}
            if any(all(row[part] == value for part, value in key.items()) for row in rows):
                continue
            run = explored(model, int(layer), seed)
            rows.append({**key, "short": sampled(run, SHORT), "long": sampled(run, LONG)})
            asked.path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
            print(key, rows[-1]["short"], rows[-1]["long"], flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
