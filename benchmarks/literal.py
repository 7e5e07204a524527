# SPDX-License-Identifier: MIT
"""The rival that the paper describes: Algorithm 2 line by line, one candidate a forward pass, the tree in NumPy."""

import numpy as np
import torch

from benchmarks.problems import Problem
from egbas.samplers.gbrrt import Tree


def grow_literally(problem: Problem) -> tuple[np.ndarray, list[int]]:
    """Grow the tree; returns its nodes (n, d) and their parents."""
    config, geometry, region = problem.config, problem.geometry, problem.region
    assert config.step_size is not None
    assert config.half_width is not None
    spacing, draws = geometry.chord(config.step_size), problem.targets()
    start = problem.query.numpy()
    nodes = np.empty((config.iterations + 1, len(start)), start.dtype)
    nodes[0] = start
    parents = [-1]
    n_left = config.iterations
    while n_left:
        for target in geometry.targets(256, config.half_width, rng=draws)[:n_left].numpy():
            tree = nodes[: len(parents)]
            gaps = np.sqrt(((tree - target) ** 2).sum(axis=1))
            parent = int(gaps.argmin())
            origin, aim, gap = (torch.from_numpy(x) for x in (nodes[[parent]], target[None], gaps[[parent]]))
            candidate = geometry.step(origin, aim, gap, config.step_size)
            others = np.sqrt(((tree - candidate.numpy()) ** 2).sum(axis=1))
            others[parent] = np.inf
            if others.min() < spacing:
                continue
            if bool((region.split.head(candidate)[0, region.units] * region.signs >= 0).all()):
                nodes[len(parents)] = candidate[0].numpy()
                parents.append(parent)
        n_left -= min(256, n_left)
    return nodes[: len(parents)], parents


def is_same(tree: Tree, literal: tuple[np.ndarray, list[int]]) -> bool:
    """Whether both trees have the same edges, and nodes within rounding."""
    nodes, parents = literal
    return tree.parents.tolist() == parents and np.allclose(tree.latents.numpy(), nodes, rtol=0, atol=1e-4)
