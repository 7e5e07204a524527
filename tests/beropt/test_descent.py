# SPDX-License-Identifier: MIT
"""Gradient steps of BerOpt: the written-out step against autograd and torch's optimizer."""

import math

import pytest
import torch
from torch import nn

from egbas.beropt import BerOptConfig, BerOptStatus
from egbas.beropt.descent import _relaxed_masks, descend, polarisation, schedule
from egbas.beropt.objective import Objective
from egbas.network import Network
from egbas.reproduce.brute_force import random_network


def objective(config: BerOptConfig, net: nn.Module | None = None) -> Objective:
    net = net or random_network(seed=3).double()
    z0 = torch.tensor([0.5, -1.0, 0.3, 0.8], dtype=torch.float64)
    return Objective(Network(net.eval(), (4,)).split(1).at(z0), config)


def test_steps_are_those_of_autograd_and_adam() -> None:
    config = BerOptConfig(masks=4, anneal_steps=30, max_steps=30)
    loss_of = objective(config)
    found = descend(loss_of, 0.75, rng=torch.Generator().manual_seed(5), progress=None)

    rng = torch.Generator().manual_seed(5)
    logits = torch.full((loss_of.n_candidates,), math.log(3.0), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([logits], betas=(0.9, 0.99))
    losses = []
    for step in range(30):
        temperature, adam.param_groups[0]["lr"] = schedule(config, step)
        masks = _relaxed_masks(logits.detach(), temperature, 4, rng=rng)
        noise = masks.logit() * temperature - logits.detach()
        masks = ((logits + noise) / temperature).sigmoid()
        loss = loss_of.distance(masks).mean() + config.sparsity * logits.sigmoid().sum() / loss_of.n_units
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    torch.testing.assert_close(found.losses, torch.tensor(losses, dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(found.theta, logits.detach().sigmoid(), rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(found.sizes[-1], found.theta.sum())
    assert found.status is BerOptStatus.MAX_STEPS


def test_it_stops_where_theta_has_settled() -> None:
    found = descend(objective(BerOptConfig(masks=4)), 0.75, rng=torch.Generator().manual_seed(0), progress=None)
    assert found.status is BerOptStatus.CONVERGED
    assert len(found.losses) == len(found.sizes) < 1500
    assert polarisation(found.theta) >= 0.9


def test_relaxed_masks_are_bernoulli_at_low_temperature() -> None:
    theta = torch.tensor([0.1, 0.5, 0.8])
    masks = _relaxed_masks(theta.logit(), 0.01, 20_000, rng=torch.Generator().manual_seed(0))
    assert ((masks >= 0) & (masks <= 1)).all()
    torch.testing.assert_close(masks.mean(dim=0), theta, atol=0.015, rtol=0)  # four standard errors


@pytest.mark.parametrize("n", [1, 3, 4])
def test_relaxed_masks_come_in_antithetic_pairs(n: int) -> None:
    logits = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    noise = _relaxed_masks(logits, 0.7, n, rng=torch.Generator().manual_seed(0)).logit() * 0.7 - logits
    assert noise.shape == (n, 3)
    half = (n + 1) // 2
    torch.testing.assert_close(noise[half:], -noise[: n - half])
    assert len(noise[:half].unique()) == 3 * half


def test_polarisation_is_a_share() -> None:
    assert polarisation(torch.tensor([0.01, 0.99, 0.5, 0.2])) == 0.5
    assert polarisation(torch.zeros(0)) == 1.0
