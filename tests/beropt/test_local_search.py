# SPDX-License-Identifier: MIT
"""The local search where the best set is known, and its promise: no single flip is better than what it returns."""

import pytest
import torch
from torch import Tensor

from egbas.beropt.local_search import local_search

CHEAP = 0.5  # price of a unit


def separable(mask: Tensor) -> Tensor:
    """Units are worth 0.1, 0.2, ... each by itself: those worth more than the price belong in the best set."""
    return (1 - mask) @ (0.1 * torch.arange(1, mask.shape[1] + 1))


@pytest.mark.parametrize("n", [4, 300])  # more units than are tried at once
@pytest.mark.parametrize("start", [False, True])
def test_the_best_set_of_units_that_do_not_interact(n: int, start: bool) -> None:
    found = local_search(torch.full((n,), start), separable, CHEAP + 0.05)
    assert found.tolist() == [0.1 * (unit + 1) > CHEAP + 0.05 for unit in range(n)]


def test_no_single_flip_is_better() -> None:
    rng = torch.Generator().manual_seed(0)
    mixing = torch.randn(30, 8, generator=rng)

    def distance(mask: Tensor) -> Tensor:
        return torch.tanh((1 - mask) @ mixing).norm(dim=1)

    def loss(sets: Tensor) -> Tensor:
        return distance(sets.float()) + 0.05 * sets.sum(dim=1)

    for _ in range(5):
        start = torch.rand(30, generator=rng) < 0.5
        found = local_search(start, distance, 0.05)
        flipped = found ^ torch.eye(30, dtype=torch.bool)
        assert loss(found[None]) < loss(start[None])
        assert loss(flipped).min() >= loss(found[None]) - 1e-5


def test_the_start_is_left_as_it_was() -> None:
    start = torch.zeros(4, dtype=torch.bool)
    local_search(start, separable, 0.05)
    assert not start.any()


def test_a_price_above_every_gain_keeps_nothing() -> None:
    assert not local_search(torch.ones(4, dtype=torch.bool), separable, 10.0).any()


def test_flips_that_only_help_alone_are_not_made_together() -> None:
    def distance(mask: Tensor) -> Tensor:
        return (mask.sum(dim=1) - 1).abs()  # one unit, whichever, is perfect

    assert local_search(torch.zeros(6, dtype=torch.bool), distance, 0.1).sum() == 1


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_rounds_bound_the_search(rounds: int) -> None:
    slopes = []

    def distance(mask: Tensor) -> Tensor:
        slopes.extend([True] if mask.requires_grad else [])  # the gradient is taken once a round
        return separable(mask)

    start = torch.zeros(400, dtype=torch.bool)
    found = local_search(start, distance, 0.05, rounds=rounds)
    assert len(slopes) == rounds
    assert found.sum() <= 32 * rounds  # so many flips are tried at once
    assert bool(found.any()) == (rounds > 0)
