# SPDX-License-Identifier: MIT
"""GB-RRT beside the literal loop, beside the head alone, and many trees beside one after another."""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from benchmarks.literal import grow_literally, is_same
from benchmarks.problems import DCGANS, PGGANS, Problem, generator, problem, set_threads
from benchmarks.timing import in_turns
from egbas.beropt import BerOptConfig
from egbas.exploration.explore import explore, explore_many
from egbas.samplers.gbrrt import GbRrtConfig, grow_many

Row = dict[str, Any]
T = TypeVar("T")
BATCHES, LARGE_BATCHES = (16, 32, 64, 128, 256), (16, 64)
N_QUERIES = 10
BEROPT = BerOptConfig()  # as the paper has it, without a level


def vs_loop(full: bool, device: str) -> list[Row]:
    """The literal loop of Algorithm 2: the same seed, the same tree."""
    rows = []
    for case in _problems(full, device, small=2000 if full else 1000, large=500 if full else 100):
        n_threads = set_threads(case.model)
        same = is_same(case.grow(), grow_literally(case))
        times = in_turns(lambda p=case: grow_literally(p), case.grow, _repetitions(case, full), is_warm=True)
        rows.append({**case.key, **times, "same_tree": same, "threads": n_threads, **_size(case)})
    return rows


def vs_limit(full: bool, device: str) -> list[Row]:
    """The head alone at its best batch size on random latents, as many evaluations as iterations.

    With as many threads of torch as ours, and (``ratio_all_cores``) with one for each core.
    """
    rows = []
    for case in _problems(full, device, small=2000, large=500 if full else 100):
        n_threads = set_threads(case.model)
        n, split = case.config.iterations, case.region.split
        z = torch.randn(n, case.query.numel(), generator=torch.Generator().manual_seed(0))
        batches = BATCHES if case.model.startswith("dcgan") else LARGE_BATCHES

        def limit(batch: int, share: float = 1.0, z: torch.Tensor = z, split: Any = split) -> None:
            for rows in z[: round(share * len(z))].split(batch):
                split.head(rows)

        def fastest(batches: Sequence[int] = batches, limit: Callable[..., None] = limit) -> Callable[[], None]:
            tried = {batch: in_turns(lambda: None, lambda b=batch: limit(b, 0.33), 1)["seconds"] for batch in batches}
            return lambda: limit(min(tried, key=lambda batch: tried[batch]))

        n_times = _repetitions(case, full)
        times = in_turns(fastest(), case.grow, n_times)
        if (n_all := os.cpu_count() or 1) != n_threads:
            rival = _with_threads(fastest, n_all)()
            times["ratio_all_cores"] = in_turns(_with_threads(rival, n_all), case.grow, n_times, is_warm=True)["ratio"]
        tree = case.grow()
        counts = {"evaluations": tree.evaluations, "rounds": tree.rounds}
        rows.append({**case.key, **times, **counts, "threads": n_threads, **_size(case)})
    return rows


def lockstep(full: bool, device: str) -> list[Row]:
    """Ten queries: their trees in lock-step beside one after another, and all of ``explore_many``.

    One after another on one core of the processor, and (``ratio_all_cores``) as a loop of ``grow`` does it, which
    shares the latents of deep layers among the cores.
    """
    rows = []
    for model, layer in DCGANS if full else [("dcgan-mnist", 3), ("dcgan-mnist", 4)]:
        n_threads = set_threads(model)
        cases = [problem(model, layer, 2000, device, seed) for seed in range(N_QUERIES)]
        regions = [each.region for each in cases]

        def together(cases: list[Problem] = cases, regions: list[Any] = regions) -> None:
            grow_many([each.growth() for each in cases], regions)

        def one_by_one(cases: list[Problem] = cases) -> None:
            for each in cases:
                each.grow()

        n_times = 5 if full else 3
        times = in_turns(_on_one_core(one_by_one), together, n_times)
        times["ratio_all_cores"] = in_turns(one_by_one, together, n_times, is_warm=True)["ratio"]
        key = {"model": model, "layer": layer, "queries": N_QUERIES, "threads": n_threads}
        rows.append({**key, "what": "trees", **times})
        if not full:
            continue
        module, latent = generator(model, device)
        queries = [each.query for each in cases]

        def alone(module: Any = module, latent: Any = latent, layer: int = layer, queries: Any = queries) -> None:
            for seed, query in enumerate(queries):
                explore(module, query, layer, rng=seed, latent=latent, beropt=BEROPT, gbrrt=GbRrtConfig(), samples=0)

        def many(module: Any = module, latent: Any = latent, layer: int = layer, queries: Any = queries) -> None:
            explore_many(
                module,
                queries,
                layer,
                rng=list(range(N_QUERIES)),
                latent=latent,
                beropt=BEROPT,
                gbrrt=GbRrtConfig(),
                samples=0,
            )

        times = in_turns(_on_one_core(alone), many, 1)
        times["ratio_all_cores"] = in_turns(alone, many, 1, is_warm=True)["ratio"]
        rows.append({**key, "what": "whole explorations", **times})
    return rows


def _with_threads(run: Callable[[], T], n: int) -> Callable[[], T]:
    """The same with so many threads of torch."""

    def with_threads() -> T:
        before = torch.get_num_threads()
        torch.set_num_threads(n)
        try:
            return run()
        finally:
            torch.set_num_threads(before)

    return with_threads


def _on_one_core(run: Callable[[], None]) -> Callable[[], None]:
    """The same by one core of the processor, where the system can be told so."""

    def on_one_core() -> None:
        if not hasattr(os, "sched_setaffinity"):
            return run()
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        try:
            run()
        finally:
            os.sched_setaffinity(0, cores)

    return on_one_core


def _problems(full: bool, device: str, *, small: int, large: int) -> list[Problem]:
    cases = [problem(model, layer, small, device) for model, layer in DCGANS]
    return cases + [problem(model, layer, large, device) for model, layer in PGGANS]


def _repetitions(case: Problem, full: bool) -> int:
    if case.model.startswith("dcgan"):
        return 7 if full else 3
    return 3 if full else 1


def _size(case: Problem) -> Row:
    return {"iterations": case.config.iterations, "units": len(case.region.units)}
