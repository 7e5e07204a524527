# SPDX-License-Identifier: MIT
"""OMPL's RRT with the same region as its state validity checker: tests and nodes per second."""

import importlib.util
import time
from typing import Any

import numpy as np
import torch

from benchmarks.problems import DCGANS, Problem, problem, set_threads

Row = dict[str, Any]


def vs_ompl(full: bool, device: str) -> list[Row]:
    """Membership tests per second, ours over OMPL's; OMPL asks for one latent at a time."""
    if importlib.util.find_spec("ompl") is None:
        return []
    rows = []
    for model, layer in DCGANS:
        n_threads = set_threads(model)
        case = problem(model, layer, 2000, device)
        theirs = run_ompl(case, seconds=5.0 if full else 1.0)
        case.grow()
        start, n = time.perf_counter(), 5 if full else 2
        trees = [case.grow() for _ in range(n)]
        took = time.perf_counter() - start
        ours = {
            "tests_per_second": sum(tree.evaluations for tree in trees) / took,
            "nodes_per_second": sum(len(tree.latents) - 1 for tree in trees) / took,
        }
        ratios = {
            "ratio": ours["tests_per_second"] / theirs["tests_per_second"],
            "nodes_ratio": ours["nodes_per_second"] / max(theirs["nodes_per_second"], 1e-9),
        }
        rival = {f"rival_{name}": value for name, value in theirs.items()}
        rows.append({**case.key, **ratios, **ours, **rival, "threads": n_threads})
    return rows


def run_ompl(case: Problem, seconds: float) -> dict[str, float]:
    """Let OMPL plan in the box of the targets towards a goal that it cannot reach."""
    from ompl import base, geometric, util

    util.setLogLevel(util.LOG_NONE)
    d, half_width, step_size = case.query.numel(), case.config.half_width, case.config.step_size
    assert half_width is not None
    assert step_size is not None
    low, high = (case.query.numpy() + sign * half_width for sign in (-1, 1))
    space, bounds = base.RealVectorStateSpace(d), base.RealVectorBounds(d)
    for i in range(d):
        bounds.setLow(i, float(low[i]))
        bounds.setHigh(i, float(high[i]))
    space.setBounds(bounds)
    information = base.SpaceInformation(space)
    n_tests = 0

    def is_valid(state: Any) -> bool:
        nonlocal n_tests
        n_tests += 1
        latent = np.fromiter((state[i] for i in range(d)), np.float32, d)
        return bool(case.region.contains(torch.from_numpy(latent)[None]))

    information.setStateValidityChecker(is_valid)
    # One test a step, at its end, as Algorithm 2 has it: the resolution is a share of the extent of the space.
    information.setStateValidityCheckingResolution(min(1.0, 1.01 * step_size / space.getMaximumExtent()))
    information.setup()
    start, goal = space.allocState(), space.allocState()
    for i in range(d):
        start[i], goal[i] = float(case.query[i]), float(high[i])
    definition = base.ProblemDefinition(information)
    definition.setStartAndGoalStates(start, goal, 1e-9)
    planner = geometric.RRT(information)
    planner.setRange(step_size)
    planner.setGoalBias(0.0)
    planner.setProblemDefinition(definition)
    planner.setup()
    begin = time.perf_counter()
    planner.solve(seconds)
    took = time.perf_counter() - begin
    data = base.PlannerData(information)
    planner.getPlannerData(data)
    return {"tests_per_second": n_tests / took, "nodes_per_second": (data.numVertices() - 1) / took}
