# SPDX-License-Identifier: MIT
"""Is a region better than a ball of its own size? Freedom, class and distance of both, at equal prior mass.

Run as ``python -m benchmarks.balls OUT.json``; it goes on where it was stopped. A query takes up to five minutes.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import egbas
from egbas.cli.settings import class_judges
from egbas.evaluation.equal_mass import ball_of_equal_mass
from egbas.evaluation.sanity.measured import independent
from egbas.exploration.facts import Facts, facts_of
from egbas.samplers.choice import rng_of

LAYERS = {"dcgan-mnist": (1, 2, 3, 4), "dcgan-mnist-2d": (1, 2, 3, 4), "pggan-mnist": (2, 4, 6)}
ROWS = Path(__file__).parent / "balls.json"
SEEDS = (3, 7, 11)
SAMPLES, DRAWS = 100, 400  # effective ones of the region; independent ones of the ball


def measure(name: str, layer: int, seed: int) -> dict[str, Any]:
    """A region, and the ball of its mass."""
    model = egbas.load_model(name)
    query = model.latent.sample(1, rng=torch.Generator().manual_seed(seed))[0]
    judges = class_judges(model, query)
    run = egbas.explore(
        model.generator, query, layer, rng=seed, latent=model.latent, samples=SAMPLES, judges=judges, mass=True
    )
    assert run.exact is not None and run.facts is not None and run.mass is not None
    ball = ball_of_equal_mass(run.query, run.latent, run.mass.log10, DRAWS, rng=rng_of("ball", seed))
    beside = facts_of(
        run.network,
        run.latent,
        run.query,
        independent(ball.latents),
        rng=rng_of("facts", seed),
        judges=judges,
    )
    assert beside is not None
    return {
        "model": name,
        "layer": layer,
        "seed": seed,
        "level": run.level,
        "units_kept": len(run.support.beropt.units),
        "log10_mass": [run.mass.log10, run.mass.low, run.mass.high],
        "status": run.exact.status,
        "r_hat": run.exact.facts["r_hat"],
        "radius": ball.radius,
        "region": _row(run.facts) | {"lie_at": float((run.exact.latents - query).norm(dim=1).mean())},
        "ball": _row(beside) | {"lie_at": float((ball.latents - query).norm(dim=1).mean())},
    }


def _row(facts: Facts) -> dict[str, Any]:
    kept = next(score.region_mean for name, score in facts.scores.items() if name.startswith("class "))
    return {
        "freedom": facts.mean,
        "freedom_low": facts.low,
        "freedom_high": facts.high,
        "class_kept": kept,
        "median_distance": facts.distance.q50,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Both side by side, one line for each query; "!" marks a region whose chains did not converge."""
    names = (
        "model",
        "layer",
        "seed",
        "units kept",
        "log10 mass",
        "freedom: region",
        "ball",
        "class kept: region",
        "ball",
    )
    more = ("median distance: region", "ball", "lie at: region", "ball")
    lines = [[*names, *more], ["---"] * (len(names) + len(more))]
    for row in sorted(rows, key=lambda row: (row["model"], row["layer"], row["seed"])):
        region, ball = row["region"], row["ball"]
        mark = "" if row["status"] == "CONVERGED" else " !"
        mass = f"{row['log10_mass'][0]:.1f}{mark}"
        line = [f"`{row['model']}`", row["layer"], row["seed"], row["units_kept"], mass]
        for key in ("freedom", "class_kept", "median_distance", "lie_at"):
            line += [f"{region[key]:.2f}", f"{ball[key]:.2f}"]
        lines.append(line)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main(path: Path) -> None:
    """Measure what is not in the file yet, and print the table."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(row["model"], row["layer"], row["seed"]) for row in rows}
    for seed in SEEDS:
        for name, layers in LAYERS.items():
            for layer in layers:
                if (name, layer, seed) not in done:
                    rows.append(measure(name, layer, seed))
                    path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
                    print(rows[-1], flush=True)
    print(table(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
