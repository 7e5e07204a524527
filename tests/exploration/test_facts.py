# SPDX-License-Identifier: MIT
import math

import pytest
import torch
from torch import nn

from egbas.exploration.facts import Facts, facts_of
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.samplers.chains import Chains
from egbas.samplers.diagnostics import Diagnostics

SPACE = LatentSpace(shape=(2,))


def network() -> Network:
    """Images (1, 1, 3): the two coordinates and a constant, from a query at (1, 1) of norm sqrt(2)."""
    module = nn.Sequential(nn.Linear(2, 3), nn.Unflatten(1, (1, 1, 3)))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        module[0].bias.zero_()
    return Network(module.eval(), (2,))


def chains(latents: torch.Tensor, n_chains: int = 16) -> Chains:
    return Chains(
        latents=latents,
        chain=torch.arange(n_chains).repeat_interleave(len(latents) // n_chains),
        status="CONVERGED",
        evaluations=0,
        diagnostics=Diagnostics(r_hat=1.0, ess=1.0, worst="", n_chains=n_chains, n_draws=1),
    )


def facts(latents: torch.Tensor, seed: int = 0) -> Facts:
    found = facts_of(network(), SPACE, torch.ones(2), chains(latents), rng=torch.Generator().manual_seed(seed))
    assert found is not None
    return found


def test_freedom_is_the_deviation_over_that_of_the_prior() -> None:
    z = torch.randn(4800, 2, generator=torch.Generator().manual_seed(1)).double() * torch.tensor([0.5, 0.1])
    found = facts(z)
    assert found.freedom[0, 0, :2].tolist() == pytest.approx([0.5, 0.1], rel=0.05)
    assert math.isnan(found.freedom[0, 0, 2])  # a pixel that never changes is neither held nor free
    assert found.mean == pytest.approx(0.3, rel=0.05)
    assert found.low < 0.3 < found.high
    assert found.high - found.low < 0.03


def test_the_interval_holds_the_mean_in_nineteen_of_twenty() -> None:
    rng = torch.Generator().manual_seed(2)
    hits = 0
    for seed in range(40):
        found = facts(torch.randn(320, 2, generator=rng).double() * 0.5, seed)
        hits += found.low <= 0.5 <= found.high
    assert hits >= 33  # 38 expected; fewer than 33 in one of 500


def test_distance_is_relative_to_the_norm_of_the_querys_image() -> None:
    angles = torch.linspace(0, 2 * math.pi, 161).double()[:-1]
    ring = 1 + 0.2 * math.sqrt(2) * torch.stack([angles.cos(), angles.sin()], dim=1)
    distance = facts(ring).distance
    assert (distance.q05, distance.q50, distance.q95) == pytest.approx((0.2, 0.2, 0.2), rel=1e-5)


def test_too_few_samples_say_nothing() -> None:
    assert facts_of(network(), SPACE, torch.ones(2), chains(torch.zeros(0, 2)), rng=torch.Generator()) is None
