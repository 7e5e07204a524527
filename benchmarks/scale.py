# SPDX-License-Identifier: MIT
"""Time per iteration against the size of the tree, and memory."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from egbas.gbrrt import GbRrtConfig, grow

Row = dict[str, Any]
SIZES, FULL_SIZES = (1_000, 10_000), (1_000, 10_000, 100_000)
DIMENSIONS = (2, 64, 512)
STEP_SIZES = {2: 0.002, 64: 0.5, 512: 0.5}  # so that nearly every candidate is added
NEAR = 0.25  # times are those of the iterations in which the tree is so close to a size


class Everywhere:
    """A region without borders, which costs nothing to test: what remains is the tree."""

    def contains(self, z: torch.Tensor) -> torch.Tensor:
        """All of them."""
        return torch.ones(len(z), dtype=torch.bool)


def tree_growth(full: bool, device: str) -> list[Row]:
    """Seconds per iteration at each size; ratio: to those at the smallest size of the same dimension."""
    del device  # the tree lies in the processor's memory
    torch.set_num_threads(1)
    rows = []
    for d in DIMENSIONS:
        sizes = FULL_SIZES if full else SIZES
        told: list[tuple[int, int, float]] = []  # nodes, iterations, seconds
        config = GbRrtConfig(iterations=int(1.3 * sizes[-1]), step_size=STEP_SIZES[d], half_width=1.0)
        z0 = torch.zeros(d)

        def progress(done: int, _: int, text: str, told: list[tuple[int, int, float]] = told) -> None:
            told.append((int(text.split(maxsplit=1)[0]), done, time.perf_counter()))

        grow(z0, Everywhere(), config, rng=torch.Generator().manual_seed(0), progress=progress)
        found: list[Row] = []
        for size in sizes:
            near = [entry for entry in told if abs(entry[0] - size) <= NEAR * size]
            if len(near) < 2:
                continue
            each = (near[-1][2] - near[0][2]) / (near[-1][1] - near[0][1])
            base = found[0]["seconds"] if found else each
            row = {"model": f"{d} dimensions", "layer": None, "nodes": size, "seconds": each, "ratio": each / base}
            found.append({**row, "megabytes": 4e-6 * d * config.iterations})
        rows += found
    return rows


def memory(full: bool, device: str) -> list[Row]:
    """Peak memory of an exploration over that of one forward pass, each in a process of its own."""
    model = "PGGAN-256" if full else "PGGAN-64"
    used = {what: _peak(what, model, device) for what in ("forward", "explore")}
    return [
        {
            "model": model,
            "layer": 4,
            "ratio": used["explore"] / used["forward"],
            "gigabytes": used["explore"],
            "rival_gigabytes": used["forward"],
        }
    ]


def _peak(what: str, model: str, device: str) -> float:
    command = [sys.executable, "-m", "benchmarks.scale", what, model, device]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["gigabytes"]


def _use_memory(what: str, model: str, device: str) -> None:
    from benchmarks.problems import generator
    from egbas.beropt import BerOptConfig
    from egbas.explore import explore

    module, latent = generator(model, device)
    query = latent.sample(1, rng=torch.Generator().manual_seed(0))
    if what == "forward":
        with torch.no_grad():
            module(query.to(device))
    else:
        few = BerOptConfig(anneal_steps=3, max_steps=3)
        explore(module, query[0], 4, rng=0, latent=latent, beropt=few, gbrrt=GbRrtConfig(iterations=500))
    # Not ru_maxrss, which a new process inherits from the one that started it.
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(json.dumps({"gigabytes": int(peak.split()[1]) / 1e6}))


if __name__ == "__main__":
    _use_memory(*sys.argv[1:])
