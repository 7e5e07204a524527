# SPDX-License-Identifier: MIT
"""BerOpt with random masks beside BerOpt with none, at the embedded models.

    python -m benchmarks.mean_field benchmarks/mean_field.json

A minute or two. At a level: the size of the set, the passes of an image through the tail (a backward pass counts as
two), the seconds of the processor. At the weight 1 of eq. 1: the loss, and the Jaccard index of the sets of the query
and of another query 0.01 away.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import egbas
from egbas.beropt import BerOptConfig, BerOptResult, optimize
from egbas.network import Network, Tail

LAYERS = [(model, layer) for model in ("dcgan-mnist-2d", "dcgan-mnist") for layer in (1, 2, 3, 4)]
LAYERS += [("pggan-mnist", layer) for layer in (2, 4, 6)]
LEVEL, SEED, AWAY = 6, 3, 0.01
MASKS = 4, 0
COLUMNS = ("model", "layer", "masks", "units", "passes", "seconds", "loss", "jaccard")


def rows() -> Iterator[dict[str, Any]]:
    """Measure a layer with and without random masks, one after the other."""
    for name, layer in LAYERS:
        model = egbas.load_model(name)
        split = Network(model.generator, model.latent.shape).split(layer)
        z0 = model.latent.sample(1, torch.Generator().manual_seed(SEED))[0]
        step = torch.randn(len(z0), generator=torch.Generator().manual_seed(SEED + 1))
        near = z0 + AWAY * step / step.norm()
        for masks in MASKS:
            passes, tail = _counted(split.at(z0))
            begin = time.process_time()
            graded = _found(tail, BerOptConfig(masks=masks, level=LEVEL))
            seconds = time.process_time() - begin
            n_passes = passes[0]
            at, beside = (_found(split.at(query), BerOptConfig(masks=masks)) for query in (z0, near))
            yield {
                "model": name,
                "layer": layer,
                "masks": masks,
                "units": len(graded.units),
                "error": graded.fidelity,
                "passes": n_passes,
                "seconds": seconds,
                "loss": at.fidelity + len(at.units) / len(at.theta),
                "jaccard": _jaccard(at, beside),
            }


def table(found: list[dict[str, Any]]) -> list[str]:
    """The rows as they stand in docs/beropt.md."""
    return [
        f"| `{row['model']}` | {row['layer']} | {row['masks']} | {row['units']:,} | {row['passes']:,} | "
        f"{row['seconds']:.1f} | {row['loss']:.3f} | {row['jaccard']:.2f} |"
        for row in found
    ]


def _found(tail: Tail, config: BerOptConfig) -> BerOptResult:
    return optimize(tail, config, rng=torch.Generator().manual_seed(SEED))


def _counted(tail: Tail) -> tuple[list[int], Tail]:
    """The same tail, and how many passes went through it."""
    passes = [0]

    def run(a: Tensor) -> Tensor:
        passes[0] += len(a) * (3 if a.requires_grad else 1)
        return tail.run(a)

    return passes, replace(tail, run=run)


def _jaccard(one: BerOptResult, other: BerOptResult) -> float:
    first, second = set(one.units.tolist()), set(other.units.tolist())
    return len(first & second) / max(1, len(first | second))


def main() -> None:
    """Measure all layers and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    found = []
    for row in rows():
        found.append(row)
        print(*table([row]), flush=True)
    out.write_text(json.dumps({"level": LEVEL, "seed": SEED, "away": AWAY, "rows": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
