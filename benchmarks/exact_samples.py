# SPDX-License-Identifier: MIT
"""Exact samples of the regions of the embedded models: how long they take, whether they converge, how far they reach.

Run as ``python -m benchmarks.exact_samples OUT.json``; it goes on where it was stopped.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

import egbas

LAYERS = {"dcgan-mnist-2d": (1, 2, 3, 4), "dcgan-mnist": (1, 2, 3, 4), "pggan-mnist": (2, 4, 6)}
SEEDS = (3, 7, 11)
WANTED = 400  # effective draws
MOST = 2_000_000  # evaluations


def measure(name: str, layer: int, seed: int) -> dict[str, Any]:
    """Explore one query, with the tree of the defaults and as many exact samples as are wanted."""
    model = egbas.load_model(name)
    query = model.latent.sample(1, rng=torch.Generator().manual_seed(seed))[0]
    start = time.process_time()
    run = egbas.explore(model.generator, query, layer, rng=seed, samples=WANTED, max_evaluations=MOST)
    everything = time.process_time() - start
    assert run.exact is not None
    assert run.facts is not None
    tree, exact = run.grown, run.exact
    return {
        "model": name,
        "layer": layer,
        "seed": seed,
        "units_kept": len(run.support.beropt.units),
        "seconds": run.seconds["prior"],
        "cpu_seconds_of_all": everything,
        "evaluations": exact.evaluations,
        "status": exact.status,
        "r_hat": exact.diagnostics.r_hat,
        "ess": exact.diagnostics.ess,
        "r_hat_between_starts": exact.facts["r_hat_between_starts"],
        "distance_exact": float((exact.latents - run.query).norm(dim=1).mean()),
        "distance_tree": float((tree.drawn - run.query).norm(dim=1).mean()),
        "freedom": run.facts.mean,
        "freedom_low": run.facts.low,
        "freedom_high": run.facts.high,
        "image_distance": [run.facts.distance.q05, run.facts.distance.q50, run.facts.distance.q95],
        "inside": run.certificates["prior"].n_inside,
        "samples": run.certificates["prior"].n_samples,
    }


def main(path: Path) -> None:
    """Measure what is not in the file yet."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(row["model"], row["layer"], row["seed"]) for row in rows}
    for seed in SEEDS:
        for name, layers in LAYERS.items():
            for layer in layers:
                if (name, layer, seed) not in done:
                    rows.append(measure(name, layer, seed))
                    path.write_text(json.dumps({"rows": rows, "wanted": WANTED, "most": MOST}, indent=1) + "\n")
                    print({k: v for k, v in rows[-1].items() if k != "image_distance"}, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
