# SPDX-License-Identifier: MIT
"""Exact samples at the default level: how long they take, whether they converge, what they hold and leave free.

Run as ``python -m benchmarks.exact_samples OUT.json [FACES]``; it goes on where it was stopped. FACES is the file of
weights in the PyPI package ``gan_face_generate`` 1.1.1, for those who have it.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import egbas

MNIST = {"dcgan-mnist-2d": (1, 2, 3, 4), "dcgan-mnist": (1, 2, 3, 4), "pggan-mnist": (2, 4, 6)}
FACES = (1, 2, 3, 4)
LOOKED_AT, OTHERS = (3, 7, 11), (0, 1, 2, 4, 5, 6, 8)
WANTED, WANTED_OF_OTHERS = 400, 100  # effective draws
MOST, MOST_OF_FACES = 2_000_000, 1_000_000  # evaluations of those that are looked at


def jobs(faces: str | None) -> Iterator[tuple[str, int, int, int]]:
    """Model, layer, seed and effective draws wanted, what matters most first."""
    for seed in (*LOOKED_AT, *OTHERS):
        wanted = WANTED if seed in LOOKED_AT else WANTED_OF_OTHERS
        for name, layers in MNIST.items():
            yield from ((name, layer, seed, wanted) for layer in layers)
        if faces is not None and seed in LOOKED_AT:
            yield from ((faces, layer, seed, wanted) for layer in FACES)


def measure(name: str, layer: int, seed: int, wanted: int) -> dict[str, Any]:
    """Explore one query with the defaults, but for how many exact samples are wanted."""
    model = egbas.load_model(name)
    query = model.latent.sample(1, rng=torch.Generator().manual_seed(seed))[0]
    most = None if wanted != WANTED else MOST if name in MNIST else MOST_OF_FACES
    start = time.process_time()
    run = egbas.explore(
        model.generator, query, layer, rng=seed, latent=model.latent, samples=wanted, max_evaluations=most
    )
    everything = time.process_time() - start
    assert run.exact is not None
    assert run.facts is not None
    tree, exact, facts = run.grown, run.exact, run.facts
    of_tree = run.images(sampler="tree").std(dim=0).mean() / facts.prior_deviation
    return {
        "model": Path(name).parent.name if "/" in name else name,
        "layer": layer,
        "seed": seed,
        "level": run.level,
        "wanted": wanted,
        "units_kept": len(run.support.beropt.units),
        "error": run.support.beropt.fidelity,
        "seconds": run.seconds["prior"],
        "seconds_beropt": run.seconds["beropt"],
        "cpu_seconds_of_all": everything,
        "evaluations": exact.evaluations,
        "status": exact.status,
        "r_hat": exact.diagnostics.r_hat,
        "ess": exact.diagnostics.ess,
        "r_hat_between_starts": exact.facts["r_hat_between_starts"],
        "distance_exact": float((exact.latents - run.query).norm(dim=1).mean()),
        "distance_tree": float((tree.drawn - run.query).norm(dim=1).mean()),
        "log10_mass": None if run.mass is None else [run.mass.log10, run.mass.low, run.mass.high],
        "freedom": facts.mean,
        "freedom_low": facts.low,
        "freedom_high": facts.high,
        "freedom_tree": float(of_tree),
        "image_distance": [facts.distance.q05, facts.distance.q50, facts.distance.q95],
        "inside": run.certificates["prior"].n_inside,
        "samples": run.certificates["prior"].n_samples,
    }


def main(path: Path, faces: str | None = None) -> None:
    """Measure what is not in the file yet."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(row["model"], row["layer"], row["seed"]) for row in rows}
    for name, layer, seed, wanted in jobs(faces):
        short = Path(name).parent.name if "/" in name else name
        if (short, layer, seed) not in done:
            rows.append(measure(name, layer, seed, wanted))
            path.write_text(json.dumps({"rows": rows, "wanted": WANTED, "most": MOST}, indent=1) + "\n")
            print({k: v for k, v in rows[-1].items() if k != "image_distance"}, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
