# SPDX-License-Identifier: MIT
"""The loss of masks: distances by hand, and the written-out gradient against autograd's."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig
from egbas.beropt.objective import Objective
from egbas.network import Network, Tail
from egbas.reproduce.brute_force import random_network
from tests.problems import RedundantUnit, linear

CONFIG = BerOptConfig(masks=3)


def tail_of(generator: nn.Module, z0: list[float]) -> Tail:
    return Network(generator.eval(), (len(z0),)).split(1).at(torch.tensor(z0))


def test_distance_is_that_of_the_masked_layer() -> None:
    tail = tail_of(random_network(seed=3), [0.5, -1.0, 0.3, 0.8])
    objective = Objective(tail, CONFIG)
    masks = torch.rand(5, objective.n_candidates, generator=torch.Generator().manual_seed(1))
    outputs = torch.zeros(5, len(tail.a))
    outputs[:, objective.candidates] = masks * tail.a[objective.candidates]
    expected = (tail(outputs) - tail.x).flatten(1).norm(dim=1) / tail.x.norm()
    torch.testing.assert_close(objective.distance(masks), expected)


@pytest.mark.parametrize("values_at_once", [1, 10_000])
def test_the_gradient_is_autograds(monkeypatch: pytest.MonkeyPatch, values_at_once: int) -> None:
    monkeypatch.setattr("egbas.beropt.objective._VALUES_AT_ONCE", values_at_once)  # one mask a part, or all
    tail = tail_of(random_network(seed=3).double(), [0.5, -1.0, 0.3, 0.8])
    tail = dataclasses.replace(tail, a=tail.a.double())
    objective, temperature = Objective(tail, CONFIG), 0.4
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(objective.n_candidates, generator=rng, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(3, objective.n_candidates, generator=rng, dtype=torch.float64)
    masks = ((logits + noise) / temperature).sigmoid()
    expected = objective.distance(masks).mean()
    got, slope = objective.distance_and_gradient(masks.detach(), temperature)
    assert got.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(slope, torch.autograd.grad(expected, logits)[0], rtol=1e-10, atol=1e-14)


def test_units_that_cannot_change_the_image_are_no_candidates() -> None:
    net = nn.Sequential(linear([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]), nn.Sigmoid(), linear([[1.0] * 3]))
    tail = tail_of(net, [1.0, 1.0])
    assert Objective(tail, CONFIG).candidates.tolist() == [0, 1]  # the third lies on its own boundary
    off = nn.Sequential(linear([[1.0, 0.0], [-1.0, 0.0]]), nn.ReLU(), linear([[1.0] * 2], [1.0]))
    assert Objective(tail_of(off, [1.0, 1.0]), CONFIG).candidates.tolist() == [0]


def test_without_candidates_every_mask_loses_as_much() -> None:
    off = nn.Sequential(linear([[-1.0, 0.0]]), nn.ReLU(), linear([[1.0]], [1.0]))
    objective = Objective(tail_of(off, [1.0, 1.0]), CONFIG)
    assert objective.distance(torch.zeros(2, 0)).tolist() == [0.0, 0.0]


def test_a_set_of_all_units_loses_nothing() -> None:
    objective = Objective(tail_of(RedundantUnit(), [1.0, 1.0]), CONFIG)
    everything: Tensor = torch.ones(objective.n_candidates, dtype=torch.bool)
    assert objective.fidelity(everything) == 0.0
    assert objective.sampled_fidelity(everything.float(), rng=torch.Generator()) == 0.0
    assert objective.empty_fidelity() == pytest.approx(1.0)
