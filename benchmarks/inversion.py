# SPDX-License-Identifier: MIT
"""How near an inversion comes to own images of each embedded generator, beside one descent from one draw.

Run as ``python -m benchmarks.inversion OUT.json``; it goes on where it was stopped. An image takes some seconds.
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
from egbas import InversionConfig

ROWS = Path(__file__).parent / "inversion.json"
MODELS = "dcgan-mnist-2d", "dcgan-mnist", "pggan-mnist"
SEEDS = range(100, 120)  # of the images; the draws to begin with have another
NEAR = 0.05
METHODS = {"egbas.invert": InversionConfig(), "one descent": InversionConfig(draws=1, starts=1, polished=1)}


def measure(name: str, seed: int) -> list[dict[str, Any]]:
    """One own image, found again by each method."""
    model = egbas.load_model(name)
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(seed))[0]
    image, rows = model.generator(z0.reshape(1, *model.latent.shape))[0], []
    for method, config in METHODS.items():
        start = time.process_time()
        found = egbas.invert(model.generator, image, model.latent, rng=0, config=config)
        rows.append(
            {
                "model": name,
                "seed": seed,
                "method": method,
                "error": found.error,
                "start_error": found.start_error,
                "evaluations": found.evaluations,
                "cpu_seconds": time.process_time() - start,
                "latent_distance": float((found.latent - z0).norm()),
            }
        )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each model and method."""
    names = ("model", "method", f"below {NEAR:g}", "median error", "largest error", "nearest start", "evaluations")
    lines = []
    for model in MODELS:
        for method in METHODS:
            some = [row for row in rows if (row["model"], row["method"]) == (model, method)]
            if not some:
                continue
            errors = torch.tensor([row["error"] for row in some], dtype=torch.float64)
            middle = {
                key: float(torch.tensor([row[key] for row in some], dtype=torch.float64).median())
                for key in ("start_error", "evaluations", "cpu_seconds")
            }
            lines.append(
                [
                    f"`{model}`",
                    method,
                    f"{int((errors < NEAR).sum())} of {len(some)}",
                    f"{float(errors.median()):.3f}",
                    f"{float(errors.max()):.3f}",
                    f"{middle['start_error']:.2f}",
                    f"{middle['evaluations']:,.0f}",
                    f"{middle['cpu_seconds']:.1f}",
                ]
            )
    return markdown.table([*names, "median CPU seconds"], lines)


def main(out: Path) -> None:
    """Measure what is not there yet."""
    torch.set_num_threads(1)
    rows = json.loads(out.read_text())["rows"] if out.is_file() else []
    for name in MODELS:
        for seed in SEEDS:
            if not any((row["model"], row["seed"]) == (name, seed) for row in rows):
                rows += measure(name, seed)
                config = {"torch": torch.__version__, "threads": 1}
                out.write_text(json.dumps({"config": config, "rows": rows}, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
