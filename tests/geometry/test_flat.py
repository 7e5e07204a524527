# SPDX-License-Identifier: MIT
import math

import pytest
import torch

from egbas.geometry import Flat

QUERY = torch.tensor([1.0, -2.0, 0.5])
FLAT = Flat(QUERY)


def test_lengths_are_what_they_are() -> None:
    assert FLAT.dimensions == 3
    assert FLAT.limit(math.inf) == math.inf
    assert FLAT.reach(7.0) == FLAT.chord(7.0) == 7.0
    assert FLAT.far(2.0) == 2.0
    assert Flat(torch.zeros(12)).far(2.0) == pytest.approx(4.0)  # I sqrt(d / 3)
    assert FLAT.rounding(3.0, torch.float64) == 5 * torch.finfo(torch.float64).eps


def test_a_step_goes_straight_towards_the_target() -> None:
    origins, targets = QUERY.expand(2, 3), torch.tensor([[1.0, 2.0, 3.5], [1.0, -2.0, 0.5]])
    stepped = FLAT.step(origins, targets, FLAT.distances(origins, targets), 2.5)
    torch.testing.assert_close(stepped, torch.tensor([[1.0, 0.0, 2.0], [1.0, -2.0, 0.5]]))


def test_distances_offsets_and_means() -> None:
    points = torch.tensor([[4.0, 2.0, 0.5], [1.0, -2.0, 0.5]])
    assert FLAT.distances(points, QUERY[None]).tolist() == [5.0, 0.0]
    assert torch.equal(FLAT.around(points - QUERY), points)
    assert torch.equal(FLAT.embed(points), points)
    assert FLAT.mean(points).tolist() == [2.5, 0.0, 0.5]


def test_a_ball_in_three_dimensions() -> None:
    shares = (FLAT.ball_radii(torch.linspace(0, 1, 11), 2.0) / 2) ** 3
    torch.testing.assert_close(shares, torch.linspace(0, 1, 11))
