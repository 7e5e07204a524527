# SPDX-License-Identifier: MIT
"""BerOpt without random numbers: one set for a query, whatever the seed, beside brute force and autograd."""

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from egbas.beropt import BerOptConfig, BerOptStatus, optimize, optimize_levels
from egbas.beropt.mean_field import descend
from egbas.beropt.objective import Objective
from egbas.network import Network, Tail
from egbas.reproduce.brute_force import random_network


def tail_of(net: nn.Module, seed: int = 0, size: int = 4) -> Tail:
    z0 = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Network(net.double().eval(), (size,)).split(1).at(z0)


def objective(seed: int = 3, **settings: Any) -> Objective:
    return Objective(tail_of(random_network(seed=seed)), BerOptConfig(masks=0, **settings))


def test_the_slope_of_masks_is_that_of_autograd() -> None:
    loss_of = objective()
    masks = torch.rand(3, loss_of.n_candidates, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    distance, slope = loss_of.distance_and_slope(masks)
    wanted = loss_of.distance(masks.requires_grad_()).mean()
    torch.testing.assert_close(distance, wanted.detach())
    torch.testing.assert_close(slope, torch.autograd.grad(wanted, masks)[0].sum(dim=0))


def test_the_best_set_of_the_last_steps_is_taken() -> None:
    loss_of = objective()
    found = descend(loss_of, 0.75, progress=None)
    assert found.status is BerOptStatus.CONVERGED
    assert 400 <= len(found.losses) == len(found.sizes) < 1500
    assert ((found.theta >= 0) & (found.theta <= 1)).all()
    kept = found.theta > 0.5
    assert 0 < int(kept.sum()) < len(kept)
    loss = loss_of.distance(kept.double()[None]).item() + int(kept.sum()) / loss_of.n_units
    assert found.losses[280:].min().item() == pytest.approx(loss, abs=1e-9)


def test_running_out_of_steps_is_a_status() -> None:
    found = descend(objective(anneal_steps=40, max_steps=40), 0.75, progress=None)
    assert found.status is BerOptStatus.MAX_STEPS
    assert len(found.losses) == 40


@pytest.mark.parametrize("level", [None, 4, 6])
def test_no_seed_is_in_the_set(level: int | None) -> None:
    tail, config = tail_of(random_network(seed=5)), BerOptConfig(masks=0, level=level)
    one, other = (optimize(tail, config, rng=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert torch.equal(one.theta, other.theta)
    assert torch.equal(one.units, other.units)
    assert one.fidelity == other.fidelity
    assert one.evaluations == one.steps


def test_units_of_equal_worth_share_one_fate() -> None:
    """Random masks keep some of two equal units; without them nothing tells them apart until single units are tried."""
    net = nn.Sequential(nn.Linear(2, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
        net[2].weight.copy_(torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]))
    tail = Network(net.double().eval(), (2,)).split(1).at(torch.ones(2, dtype=torch.float64))
    theta = descend(Objective(tail, BerOptConfig(masks=0, sparsity=0.3)), 0.75, progress=None).theta
    assert theta[0] == theta[1]
    assert theta[2] == theta[3]


def test_close_to_brute_force() -> None:
    """Of ten random networks of 14 units the loss is the lowest of all sets in most."""
    gaps = []
    for seed in range(10):
        tail = tail_of(random_network(seed=seed), seed)
        found = optimize(tail, BerOptConfig(masks=0, sparsity=0.5), rng=torch.Generator().manual_seed(0))
        loss_of = Objective(tail, BerOptConfig(masks=0, sparsity=0.5))
        sets = torch.tensor(list(itertools.product([0.0, 1.0], repeat=loss_of.n_candidates)), dtype=torch.float64)
        best = (loss_of.distance(sets) + 0.5 * sets.sum(dim=1) / loss_of.n_units).min().item()
        gaps.append(found.fidelity + 0.5 * len(found.units) / loss_of.n_units - best)
    assert min(gaps) > -1e-6
    assert sum(gap < 1e-6 for gap in gaps) >= 7
    assert sum(gaps) / len(gaps) < 0.02


def test_levels_are_nested_and_keep_their_error() -> None:
    tail = tail_of(random_network(seed=7))
    coarse, fine = optimize_levels(tail, BerOptConfig(masks=0), [3, 6], rng=torch.Generator().manual_seed(0))
    assert set(coarse.units.tolist()) <= set(fine.units.tolist())
    assert coarse.fidelity <= 0.224
    assert fine.fidelity <= 0.068


def test_without_candidates_there_are_no_steps() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        net[0].bias.fill_(-100.0)
        net[2].bias.fill_(1.0)
    found = descend(Objective(tail_of(net), BerOptConfig(masks=0)), 0.75, progress=None)
    assert len(found.losses) == len(found.sizes) == len(found.theta) == 0


def test_progress_is_told() -> None:
    told: list[tuple[int, int, str]] = []
    descend(objective(), 0.75, progress=lambda *stage: told.append(stage))
    assert told[0][:2] == (0, 1500)
    assert all("units" in text for _, _, text in told)
