# SPDX-License-Identifier: MIT
"""BerOpt beside the bare forward and backward passes of the tail."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.problems import DCGANS, generator, problem, set_threads
from egbas.beropt import BerOptConfig, optimize

Row = dict[str, Any]
MASKS = 4


def vs_limit(full: bool, device: str) -> list[Row]:
    """Steps of BerOpt per second over passes of as many masks through the tail, forward and back, per second.

    The rival runs the modules of the generator above the layer as they are; ``folded_ratio`` is beside the tail as
    BerOpt runs it, with nothing around it.
    """
    rows = []
    steps = 200 if full else 80
    for model, layer in DCGANS:
        n_threads = set_threads(model)
        case = problem(model, layer, 2000, device)
        tail, above = case.region.split.at(case.query), _above(model, layer, device)
        masks = (torch.rand(MASKS, len(tail.a), generator=torch.Generator().manual_seed(0)) < 0.5).to(tail.a)
        shape = tail.layer.shape

        def bare(run: Callable[[Tensor], Tensor], tail: Any = tail, masks: Tensor = masks) -> float:
            start = time.perf_counter()
            for _ in range(steps):
                a = (masks * tail.a).requires_grad_()
                (run(a) - tail.x).flatten(1).norm(dim=1).mean().backward()
            return (time.perf_counter() - start) / steps

        def as_it_is(a: Tensor, above: nn.Module = above, shape: tuple[int, ...] = shape) -> Tensor:
            return above(a.unflatten(1, shape))

        times = [(bare(as_it_is), bare(tail), _seconds_of_a_step(tail, steps)) for _ in range(5 if full else 3)]
        rows.append(
            {
                **case.key,
                "ratio": median(plain / ours for plain, _, ours in times),
                "folded_ratio": median(folded / ours for _, folded, ours in times),
                "rival_seconds": median(plain for plain, _, _ in times),
                "seconds": median(ours for _, _, ours in times),
                "masks": MASKS,
                "threads": n_threads,
            }
        )
    return rows


def _above(model: str, layer: int, device: str) -> nn.Module:
    """The modules of a DCGAN after one of its non-linearities."""
    module, _ = generator(model, device)
    names = [name for name, _ in module.named_children()]
    return nn.Sequential(*list(module.children())[names.index(f"relu{layer}") + 1 :]).requires_grad_(False)


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
