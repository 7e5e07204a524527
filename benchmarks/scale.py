# SPDX-License-Identifier: MIT
"""Time per iteration against the size of the tree, and memory."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from egbas.samplers.gbrrt import GbRrtConfig, Growth

Row = dict[str, Any]
SIZES = (1_000, 10_000, 100_000)
DIMENSIONS = (2, 64, 512)
STEP_SIZES = {2: 0.002, 64: 0.5, 512: 0.5}  # so that nearly every candidate is added
LEAST, MOST = 512, 2048  # iterations that are timed, of small trees fewer, lest they grow meanwhile
SHORT = 4096  # nodes; smaller trees are timed more often


def tree_growth(full: bool, device: str) -> list[Row]:
    """Seconds per iteration at each size; ratio: to those at the smallest size of the same dimension."""
    del device  # the tree lies in the processor's memory
    torch.set_num_threads(1)
    rows: list[Row] = []
    for d in DIMENSIONS:
        first = None
        for size in SIZES:
            n = (5 if full else 3) * max(1, SHORT // size)
            each = sorted(_seconds_at(d, size) for _ in range(n))
            middle = each[len(each) // 2]
            first = first or middle
            row = {"model": f"{d} dimensions", "layer": None, "nodes": size, "seconds": middle}
            rows.append({**row, "ratio": middle / first, "megabytes": 4e-6 * d * size})
    return rows


def _seconds_at(d: int, size: int) -> float:
    """Of an iteration of a tree that has so many nodes already, uniform in the box of the targets."""
    rng = torch.Generator().manual_seed(0)
    config = GbRrtConfig(iterations=size + MOST, step_size=STEP_SIZES[d], half_width=1.0)
    growth = Growth(torch.zeros(d), config, rng=rng)
    nodes = (2 * torch.rand(size, d, generator=rng) - 1).numpy()
    growth.add(nodes, np.zeros(size, np.int64), np.arange(size))  # growing them for real takes many minutes
    growth.n_done, growth.targets.n_left = size, MOST
    round_(growth)  # takes up the nodes, which a tree that grew would have taken up one by one
    start, n_done, n_left = time.perf_counter(), growth.n_done, growth.targets.n_left
    # Targets are looked up ahead of their turn: as many must have been as had their turn.
    while (n := growth.n_done - n_done) < min(LEAST, size // 8) or n_left - growth.targets.n_left < 0.95 * n:
        assert not growth.is_done
        round_(growth)
    return (time.perf_counter() - start) / (growth.n_done - n_done)


def round_(growth: Growth) -> None:
    """One round in which every candidate is inside."""
    growth.commit(torch.ones(len(growth.propose()), dtype=torch.bool))


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
    from egbas.exploration.explore import explore

    module, latent = generator(model, device)
    query = latent.sample(1, rng=torch.Generator().manual_seed(0))
    if what == "forward":
        with torch.no_grad():
            module(query.to(device))
    else:
        few = BerOptConfig(anneal_steps=3, max_steps=3)
        explore(module, query[0], 4, rng=0, latent=latent, beropt=few, gbrrt=GbRrtConfig(iterations=200), samples=0)
    # Not ru_maxrss, which a new process inherits from the one that started it.
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(json.dumps({"gigabytes": int(peak.split()[1]) / 1e6}))


if __name__ == "__main__":
    _use_memory(*sys.argv[1:])
