# SPDX-License-Identifier: MIT
"""BerOpt beside the bare forward and backward passes of the tail."""

import time
from typing import Any

import torch

from benchmarks.problems import DCGANS, problem, set_threads
from egbas.beropt import BerOptConfig, optimize

Row = dict[str, Any]
MASKS = 4


def vs_limit(full: bool, device: str) -> list[Row]:
    """Steps of BerOpt per second over passes of as many masks through the tail, forward and back, per second."""
    rows = []
    steps = 200 if full else 80
    for model, layer in DCGANS:
        n_threads = set_threads(model)
        found = problem(model, layer, 2000, device)
        tail = found.region.split.at(found.query)
        masks = (torch.rand(MASKS, len(tail.a), generator=torch.Generator().manual_seed(0)) < 0.5).to(tail.a)

        def bare(tail: Any = tail, masks: torch.Tensor = masks) -> float:
            start = time.perf_counter()
            for _ in range(steps):
                a = (masks * tail.a).requires_grad_()
                (tail(a) - tail.x).flatten(1).norm(dim=1).mean().backward()
            return (time.perf_counter() - start) / steps

        pairs = [(bare(), _seconds_of_a_step(tail, steps)) for _ in range(5 if full else 3)]
        ratios = sorted(a / b for a, b in pairs)
        rows.append(
            {
                **found.key,
                "ratio": ratios[len(ratios) // 2],
                "rival_seconds": sorted(a for a, _ in pairs)[len(pairs) // 2],
                "seconds": sorted(b for _, b in pairs)[len(pairs) // 2],
                "masks": MASKS,
                "threads": n_threads,
            }
        )
    return rows


def _seconds_of_a_step(tail: Any, steps: int) -> float:
    """Of the descent: the convergence test and the local search after it are other passes."""
    told: list[tuple[int, float]] = []
    config = BerOptConfig(masks=MASKS, anneal_steps=steps, max_steps=steps)
    optimize(
        tail,
        config,
        rng=torch.Generator().manual_seed(0),
        progress=lambda step, _, __: told.append((step, time.perf_counter())),
    )
    descent = told[: next((i for i in range(1, len(told)) if told[i][0] < told[i - 1][0]), len(told))]
    (first, begin), (last, end) = descent[0], descent[-1]
    return (end - begin) / (last - first)
