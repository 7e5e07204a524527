# SPDX-License-Identifier: MIT
import dataclasses
import math

import pytest
import torch
from torch import Tensor

from egbas.geometry import Sphere
from egbas.samplers.gbrrt import OUTSIDE, GbRrtConfig, exit_distances, grow, with_automatic
from tests.regions import Ball, Box


@pytest.mark.parametrize("d", [1, 2, 16])
def test_automatic_settings_follow_the_region(d: int) -> None:
    config = with_automatic(GbRrtConfig(iterations=100), torch.zeros(d), Ball(), largest_half_width=10.0)
    assert config.step_size == pytest.approx(0.4 / (1 + (100 / 9) ** (1 / d)), rel=0.1)
    assert config.half_width == pytest.approx(0.4, rel=0.1)


def test_the_automatic_step_fills_a_disc_and_still_meets_its_border() -> None:
    config = with_automatic(GbRrtConfig(), torch.zeros(2), Ball(), largest_half_width=10.0)
    tree = grow(torch.zeros(2), Ball(), config, rng=torch.Generator().manual_seed(0))
    angle = torch.linspace(0, 2 * torch.pi, 100)
    places = torch.cat([r * torch.stack([angle.cos(), angle.sin()], dim=1) for r in (0.1, 0.2, 0.3, 0.38)])
    assert torch.cdist(places, tree.latents).amin(dim=1).max() < 2.5 * tree.step_size
    assert (tree.rejected_reason == OUTSIDE).float().mean() > 0.2


def test_automatic_settings_where_the_region_has_no_end() -> None:
    config = with_automatic(GbRrtConfig(iterations=9000), torch.zeros(3), Box(1e9), largest_half_width=1.0)
    assert config.step_size == pytest.approx(1.0 / 11, rel=1e-5)  # r is I sqrt(d / 3) = 1
    assert config.half_width == 1.0


def test_given_settings_stay() -> None:
    config = GbRrtConfig(step_size=0.1, half_width=3.0)
    assert with_automatic(config, torch.zeros(2), Ball(), largest_half_width=1.0) is config
    half = with_automatic(GbRrtConfig(step_size=0.1), torch.zeros(2), Ball(), largest_half_width=1.0)
    assert half.step_size == 0.1
    assert half.half_width == pytest.approx(0.4, rel=0.1)


def test_exit_distances_of_a_box() -> None:
    exits = exit_distances(Box(0.5), torch.tensor([0.1, 0.0]), far=8.0)
    assert 0.38 < exits.min()
    assert exits.max() < (0.6**2 + 0.5**2) ** 0.5 * 1.1


class Cap:
    """Latents within an angle of the query, whatever their length."""

    def __init__(self, query: Tensor, angle: float) -> None:
        self.query, self.least = query / query.norm(), math.cos(angle)

    def contains(self, z: Tensor) -> Tensor:
        return z @ self.query >= self.least * z.norm(dim=1)


@pytest.mark.parametrize("d", [3, 64])
def test_automatic_settings_on_a_sphere_follow_great_circles(d: int) -> None:
    z0 = torch.full((d,), 2.0)
    config = with_automatic(
        GbRrtConfig(iterations=100), z0, Cap(z0, 0.8), largest_half_width=math.inf, geometry=Sphere(z0)
    )
    radius = 2 * math.sqrt(d)
    expected = min(math.pi, 0.8 * max(1.0, math.sqrt(z0.numel() - 1) / math.sqrt(3))) * radius
    assert config.half_width == pytest.approx(expected, rel=0.07)
    assert config.step_size == pytest.approx(0.8 * radius / (1 + (100 / 9) ** (1 / (d - 1))), rel=0.07)


def test_a_region_that_is_the_whole_sphere() -> None:
    z0 = torch.tensor([0.0, 0.0, 2.0])
    config = with_automatic(GbRrtConfig(iterations=900), z0, Box(9.0), largest_half_width=math.inf, geometry=Sphere(z0))
    assert config.half_width == pytest.approx(2 * math.pi)
    assert config.step_size == pytest.approx(2 * math.pi / 11)


def test_a_whole_sphere_of_many_dimensions_has_room_for_the_tree() -> None:
    # Straight lines never leave the region: half of their length would be a step to the equator, and the next nodes a
    # step apart from each other there.
    z0 = torch.randn(512, generator=torch.Generator().manual_seed(0))
    geometry = Sphere(z0)
    config = with_automatic(GbRrtConfig(iterations=300), z0, Box(99.0), largest_half_width=math.inf, geometry=geometry)
    assert config.step_size == pytest.approx(math.pi / 4 * geometry.radius)
    tree = grow(z0, Box(99.0), config, rng=torch.Generator().manual_seed(0), geometry=geometry)
    assert len(tree.latents) > 290


def test_exit_distances_of_an_octant_of_the_sphere() -> None:
    class Octant:
        def contains(self, z: Tensor) -> Tensor:
            return (z >= 0).all(dim=1)

    z0 = torch.ones(3)
    exits = exit_distances(Octant(), z0, far=math.pi * 3**0.5, geometry=Sphere(z0)) / 3**0.5
    # From the middle the sides' middles are asin(1/sqrt(3)) away, the corners acos(1/sqrt(3)).
    assert exits.min() >= math.asin(3**-0.5)
    assert math.asin(3**-0.5) * 1.2 < exits.max() <= math.acos(3**-0.5) * 1.07


def test_an_automatic_step_is_not_lost_in_rounding() -> None:
    # One dimension and many iterations would ask for steps of 1e-7.
    z0 = torch.tensor([3.0, 4.0])
    config = with_automatic(
        GbRrtConfig(iterations=9_000_000), z0, Cap(z0, 0.02), largest_half_width=math.inf, geometry=Sphere(z0)
    )
    assert config.step_size == pytest.approx(1000 * 5 * torch.finfo(torch.float32).eps)
    small = dataclasses.replace(config, iterations=50, half_width=1.0)
    assert len(grow(z0, Cap(z0, 0.02), small, rng=torch.Generator(), geometry=Sphere(z0)).latents) > 1
