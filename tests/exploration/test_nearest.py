# SPDX-License-Identifier: MIT
import math

import torch
from torch import nn

from egbas.exploration.nearest import box_of, nearest_on_walls
from egbas.latent import LatentSpace
from egbas.region import DecisionRegion
from tests.problems import linear

PLANE = LatentSpace(shape=(2,))
SQUARE = LatentSpace(shape=(2,), prior="uniform")


def test_the_foot_of_the_perpendicular_on_each_wall() -> None:
    """Leads 3 x + 4 y + 5 and x - 2: their lines lie 1 and 2 from the origin."""
    network = nn.Sequential(linear([[0.0, 0.0], [-3.0, -4.0], [1.0, 0.0]], [0.0, -5.0, -2.0]))
    region = DecisionRegion(network, 0, latent=PLANE)
    z0 = torch.zeros(2, dtype=torch.float64)
    found = nearest_on_walls(region, z0, z0[None], PLANE)
    assert torch.allclose(found / 1.02, torch.tensor([[-0.6, -0.8], [2.0, 0.0]]).double(), atol=1e-6)
    assert not bool(region.contains(found).any())


def test_a_curved_wall_is_met_where_it_is_nearest() -> None:
    """The logits are 0 and x^2 + y^2 - 4, a circle around the origin; from (1, 0) its nearest point is (2, 0)."""

    class Circle(nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            square = z.square().sum(dim=1, keepdim=True) - 4.0
            return torch.cat([torch.zeros_like(square), square], dim=1)

    region = DecisionRegion(Circle(), 0, latent=PLANE)
    z0 = torch.tensor([1.0, 0.0]).double()
    starts = torch.stack([z0, torch.tensor([1.0, 1.5]).double()])
    found = nearest_on_walls(region, z0, starts, PLANE)
    best = found[(found - z0).norm(dim=1).argmin()]
    assert torch.allclose(best, torch.tensor([1.0 + 1.02, 0.0]).double(), atol=1e-3)


def test_the_support_is_not_left() -> None:
    """The lead 3 x + y + 2.5 ends at (-1.1, 0.8), outside the square; within it (-1, 0.5) is nearest."""
    network = nn.Sequential(linear([[3.0, 1.0], [0.0, 0.0]], [2.5, 0.0]))
    region = DecisionRegion(network, 0, latent=SQUARE)
    z0 = torch.tensor([-0.8, 0.9]).double()
    (found,) = nearest_on_walls(region, z0, z0[None], SQUARE)
    assert torch.allclose(found, torch.tensor([-1.0, 0.9 - 1.02 * 0.4]).double(), atol=1e-6)
    assert bool(SQUARE.contains(found[None]))
    free = nearest_on_walls(region, z0, z0[None], PLANE)
    assert math.isclose(float((free[0] - z0).norm()), 1.02 * 1 / math.sqrt(10), rel_tol=1e-6)


def test_sides_of_the_support() -> None:
    like = torch.zeros(2).double()
    assert [side.tolist() for side in box_of(SQUARE, like)] == [[-1.0, -1.0], [1.0, 1.0]]
    assert [side.tolist() for side in box_of(PLANE, like)] == [[-math.inf] * 2, [math.inf] * 2]
