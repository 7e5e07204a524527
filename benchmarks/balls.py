# SPDX-License-Identifier: MIT
"""Is a region better than a ball of its own size? Freedom, class and distance of both, at equal prior mass.

Run as ``python -m benchmarks.balls OUT.json [MODEL ...]``; it goes on where it was stopped. A query takes up to five
minutes. A model is a name, or ``LABEL=FILE`` of a checkpoint; all layers of a seed come before the next seed.
"""

import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Any

import torch

import egbas
from benchmarks import markdown
from egbas import BerOptConfig
from egbas.beropt.config import DEFAULT_LEVEL
from egbas.cli.settings import class_judges
from egbas.evaluation.equal_mass import ball_of_equal_mass
from egbas.evaluation.exact_methods import MASS as QUICK_MASS
from egbas.evaluation.sanity.measured import independent
from egbas.exploration.facts import Facts, facts_of
from egbas.reproduce.repeats import mean_interval, ratio_interval
from egbas.samplers.choice import rng_of
from egbas.samplers.mass import MassConfig, mass_of

LAYERS = {"dcgan-mnist-2d": (1, 2, 3, 4), "pggan-mnist": (2, 4, 6), "dcgan-mnist": (1, 2, 3, 4), "faces": (1, 2, 3, 4)}
ROWS = Path(__file__).parent / "balls.json"
SEEDS = tuple(range(10))
QUERIES = 5  # of each layer, at least: seeds are taken in order until there are so many rows
FACES = "faces"  # where random masks take minutes a layer: without them
COSTLY = (("dcgan-mnist", 3), ("dcgan-mnist", 4), ("pggan-mnist", 6))  # layers where a row would take ten minutes
MOST, MOST_OF_FACES = 300_000, 100_000  # evaluations of costly layers and of faces; others have the default of runs
SAMPLES, DRAWS = 50, 400  # effective ones of the region (100 in rows that do not say so); independent ones of the ball
FEWEST = 5  # queries, from which an interval over them is told
MASS = MassConfig(repetitions=2)


def measure(name: str, path: str, layer: int, seed: int) -> dict[str, Any]:
    """A region, and the ball of its mass."""
    start = time.process_time()
    model = egbas.load_model(path)
    query = model.latent.sample(1, rng=torch.Generator().manual_seed(seed))[0]
    judges = class_judges(model, query)
    is_costly = name == FACES or (name, layer) in COSTLY
    run = egbas.explore(
        model.generator,
        query,
        layer,
        rng=seed,
        latent=model.latent,
        beropt=BerOptConfig(level=DEFAULT_LEVEL, masks=0 if name == FACES else None),
        samplers=["prior"],
        samples=SAMPLES,
        max_evaluations=MOST_OF_FACES if name == FACES else MOST if is_costly else None,
        judges=judges,
    )
    assert run.exact is not None and run.facts is not None
    settings = QUICK_MASS if is_costly else MASS
    mass = run.mass or mass_of(run.region, run.query, run.latent, rng_of("mass", seed), config=settings)
    ball = ball_of_equal_mass(run.query, run.latent, mass.log10, DRAWS, rng=rng_of("ball", seed))
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
        "log10_mass": [mass.log10, mass.low, mass.high],
        "mass_chains": None if run.mass else settings.chains,
        "samples": SAMPLES,
        "evaluations": run.exact.evaluations,
        "status": run.exact.status,
        "r_hat": run.exact.facts["r_hat"],
        "radius": ball.radius,
        "cpu_seconds": time.process_time() - start,
        "region": row_of(run.facts) | {"lie_at": float((run.exact.latents - query).norm(dim=1).mean())},
        "ball": row_of(beside) | {"lie_at": float((ball.latents - query).norm(dim=1).mean())},
    }


def row_of(facts: Facts) -> dict[str, Any]:
    """What samples of a region or a ball say, as a row has it."""
    kept = next((score.region_mean for name, score in facts.scores.items() if name.startswith("class ")), None)
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
    lines = []
    for row in sorted(rows, key=lambda row: (row["model"], row["layer"], row["seed"])):
        region, ball = row["region"], row["ball"]
        mark = "" if row["status"] == "CONVERGED" else " !"
        mass = f"{row['log10_mass'][0]:.1f}{mark}"
        line = [f"`{row['model']}`", row["layer"], row["seed"], row["units_kept"], mass]
        for key in ("freedom", "class_kept", "median_distance", "lie_at"):
            line += ["" if one[key] is None else f"{one[key]:.2f}" for one in (region, ball)]
        lines.append(line)
    return markdown.table([*names, *more], lines)


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each layer, over its queries: means, ratios and differences with intervals, the largest R-hat."""
    names = ("model", "layer", "queries", "converged", "R-hat", "freedom: region", "ball", "ratio")
    more = ("class kept: region", "ball", "difference", "median distance: region", "ball", "lie at: region", "ball")
    lines = []
    by_layer = itertools.groupby(
        sorted(rows, key=lambda row: (row["model"], row["layer"])), lambda row: (row["model"], row["layer"])
    )
    for (model, layer), each in by_layer:
        some = list(each)
        free = [[row[which]["freedom"] for row in some] for which in ("region", "ball")]
        line = [f"`{model}`", layer, len(some), sum(row["status"] == "CONVERGED" for row in some)]
        line.append(f"{max(row['r_hat'] for row in some):.2f}")
        line += [f"{fmean(free[0]):.2f}", f"{fmean(free[1]):.2f}"]
        line.append(told_ratio(*free))
        for key in ("class_kept", "median_distance", "lie_at"):
            both = [[row[which][key] for row in some] for which in ("region", "ball")]
            line += [_told(values) for values in both]
            if key == "class_kept":
                gaps = [a - b for a, b in zip(*both, strict=True) if a is not None and b is not None]
                line.append(_told(gaps, is_told=True))
        lines.append(line)
    return markdown.table([*names, *more], lines)


def told_ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The geometric mean of ratios, paired by query, with its interval where queries are enough."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    if len(each) < FEWEST:
        return f"{geometric_mean(each):.2f}"
    return markdown.interval(*ratio_interval(each))


def _told(values: Sequence[float | None], *, is_told: bool = False) -> str:
    """A mean, with its interval over queries where that is told and they are enough; empty where nothing judges."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    if not is_told or len(known) < FEWEST:
        return f"{fmean(known):.2f}"
    return markdown.interval(*mean_interval(known))


def main(path: Path, models: Sequence[str]) -> None:
    """Measure what is not in the file yet, and print the tables."""
    torch.set_num_threads(1)
    files = {name: file or name for name, _, file in (model.partition("=") for model in models)}
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(row["model"], row["layer"], row["seed"]) for row in rows}
    for seed, (name, file) in itertools.product(SEEDS, files.items()):
        for layer in LAYERS[name]:
            enough = sum((row["model"], row["layer"]) == (name, layer) for row in rows) >= QUERIES
            if (name, layer, seed) not in done and not enough:
                rows.append(measure(name, file, layer, seed))
                path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
                print(rows[-1], flush=True)
    print(table(rows), summary(rows), sep="\n\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or [name for name in LAYERS if name != "faces"])
