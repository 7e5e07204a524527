# SPDX-License-Identifier: MIT
"""Rounded latents never lose the nearest node."""

import numpy as np
import pytest
import torch

from egbas.samplers.gbrrt.nearest.search import NearestNodes
from egbas.samplers.gbrrt.rounded import Rounded, pays
from egbas.samplers.gbrrt.window import Array
from tests.samplers.gbrrt.nearest.test_search import nodes_at


def uniform(n: int, d: int, width: float, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-width, width, (n, d)).astype(np.float32)


@pytest.mark.parametrize("block", [50, 4096])
@pytest.mark.parametrize("d", [32, 512])
def test_few_nodes_are_left_and_the_nearest_among_them(d: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egbas.samplers.gbrrt.rounded._BLOCK", block)
    latents, targets = uniform(3000, d, 1.0), uniform(20, d, 1.0, seed=1)
    latents[0] = 0.0  # the query, amid its targets
    nodes = nodes_at(latents)
    rounded = Rounded(nodes, 3000, targets)
    rounded.catch_up(3000)
    short = rounded.shortlist(targets, 3000)
    parents, squares = np.full(20, -1), np.zeros(20)
    short.decide(targets, nodes.latents, parents, squares)
    gaps = np.square(targets[:, None].astype(np.float64) - nodes.latents[None]).sum(axis=2)
    assert len(short.overfull) == 0
    assert parents.tolist() == gaps.argmin(axis=1).tolist()
    np.testing.assert_allclose(squares, gaps.min(axis=1), rtol=1e-12)


def test_latents_beyond_the_first_targets_are_cut_off_but_not_lost() -> None:
    nodes, near = nodes_at(uniform(500, 64, 1.0)), uniform(8, 64, 0.1, seed=1)
    rounded, far = Rounded(nodes, 500, near), uniform(8, 64, 1.0, seed=2)
    parents, squares = np.full(8, -1), np.zeros(8)
    rounded.catch_up(500)
    short = rounded.shortlist(far, 500)
    short.decide(far, nodes.latents, parents, squares)
    gaps = np.square(far[:, None].astype(np.float64) - nodes.latents[None]).sum(axis=2)
    told = np.setdiff1d(np.arange(8), short.overfull)
    assert parents[told].tolist() == gaps.argmin(axis=1)[told].tolist()


def test_nodes_too_close_together_for_rounding_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egbas.samplers.gbrrt.nearest.search._LARGE", 0)
    monkeypatch.setattr("egbas.samplers.gbrrt.nearest.search.pays", lambda d: True)
    latents = 1 + 1e-4 * uniform(2000, 64, 1.0)
    latents[0] = 0.0
    growing, targets = NearestNodes(nodes_at(latents)), 1 + uniform(8, 64, 1e-4, seed=1)
    found, _ = growing(targets, 2000)
    gaps = np.square(targets[:, None].astype(np.float64) - latents[None]).sum(axis=2)
    assert found.tolist() == gaps.argmin(axis=1).tolist()
    assert not growing._may_round


@pytest.mark.parametrize("broken", [lambda a, b: (a.int() @ b.int().T).clamp(max=32767), None])
def test_products_that_are_wrong_or_missing_do_not_pay(broken: object, monkeypatch: pytest.MonkeyPatch) -> None:
    pays.cache_clear()
    if broken is None:
        monkeypatch.delattr(torch, "_int_mm")
    else:
        monkeypatch.setattr("egbas.samplers.gbrrt.rounded._products", broken)
    assert not pays(64)
    pays.cache_clear()
