# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch
from torch import Tensor

from egbas.region.constraints import FunctionConstraints
from egbas.samplers.mass import Factory, measure_mass, reflection_levels
from egbas.samplers.normal_box import NormalBox, NormalConstraints, NormalKernel, NormalRegion, is_wide
from egbas.samplers.normals import Reflections
from egbas.samplers.reflection import ReflectionConfig, ReflectionKernel
from egbas.samplers.target import Gaussian, UniformBox
from egbas.samplers.walls import NormalWalls, walls_of

D = 3
BOX = UniformBox(torch.tensor([-1.0, 0.0, -2.0]), torch.tensor([1.0, 3.0, 2.0]))


class _Above:
    """The part of the box where z_0 + z_2 is above a bound: corners of it, far from its middle."""

    def __init__(self, bound: float = 1.5) -> None:
        self.bound = bound

    def contains(self, z: Tensor) -> Tensor:
        return z[:, 0] + z[:, 2] > self.bound

    def constraints(self) -> FunctionConstraints:
        return FunctionConstraints(function=lambda z: (z[:, 0] + z[:, 2] - self.bound)[:, None], scale=torch.ones(1))


def test_coordinates_are_those_of_a_normal_distribution() -> None:
    coordinates, z = NormalBox(BOX), BOX.low + (BOX.high - BOX.low) * torch.rand(4000, D, dtype=torch.float64)
    u = coordinates.into(z)
    torch.testing.assert_close(coordinates.out(u), z, atol=1e-12, rtol=0)
    assert bool((u.mean(dim=0).abs() < 4 / 4000**0.5).all()) and bool(((u.std(dim=0) - 1).abs() < 0.05).all())
    assert bool(coordinates.into(torch.stack([BOX.low, BOX.high])).isfinite().all())  # the sides themselves
    slope = (coordinates.out(u + 1e-6) - coordinates.out(u - 1e-6)) / 2e-6
    torch.testing.assert_close(coordinates.slope(u), slope, atol=1e-6, rtol=1e-4)


def test_gradients_are_those_of_the_coordinates() -> None:
    coordinates, region = NormalBox(BOX), _Above()
    walls = NormalConstraints(region.constraints(), coordinates)
    u = torch.randn(5, D, dtype=torch.float64, requires_grad=True)
    margins, pull = walls.vjp(u.detach())
    (expected,) = torch.autograd.grad((coordinates.out(u)[:, 0] + coordinates.out(u)[:, 2]).sum(), u)
    torch.testing.assert_close(pull(torch.ones_like(margins)).double(), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(walls.margins(u.detach()), margins)
    judged = walls_of(NormalRegion(region, coordinates), walls, Gaussian(D))
    assert isinstance(judged, NormalWalls)
    inside, gradients = judged.judge(u.detach())
    assert inside.tolist() == region.contains(coordinates.out(u.detach())).tolist()
    outside = NormalConstraints(region.constraints(), coordinates)
    v = (-outside.margins(u.detach()))[~inside]
    torch.testing.assert_close(gradients.float(), (v * expected[~inside]).float(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("start", [[1.0, 1.0, 2.0], [0.9, 3.0, 1.9]])
def test_chains_draw_the_uniform_distribution_of_the_region(start: list[float]) -> None:
    coordinates, region, rng = NormalBox(BOX), _Above(), np.random.default_rng(0)
    within = NormalRegion(region, coordinates)
    config = ReflectionConfig(rounds=2, steps=60)
    inner = ReflectionKernel(within, NormalConstraints(region.constraints(), coordinates), Gaussian(D), config)
    kernel = NormalKernel(inner, within)
    z = kernel.adapt(torch.tensor([start], dtype=torch.float64).repeat(32, 1), rng)
    draws = kernel.draw(z, 40, rng)[:, 8:]
    assert bool(region.contains(draws.flatten(0, 1)).all()) and bool(BOX.contains(draws.flatten(0, 1)).all())
    assert kernel.evaluations == inner.evaluations > 0
    grid = BOX.low + (BOX.high - BOX.low) * torch.rand(100_000, D, generator=torch.Generator().manual_seed(1))
    expected = grid[region.contains(grid)].double()
    error = (draws.mean(dim=(0, 1)) - expected.mean(dim=0)).abs() / (draws.mean(dim=1).std(dim=0) / 32**0.5)
    assert float(error.max()) < 4.5  # by the spread of 32 chains
    spread = draws.flatten(0, 1).std(dim=0) / expected.std(dim=0)
    assert bool(((spread - 1).abs() < 0.12).all())


def test_the_mass_is_that_of_the_box() -> None:
    coordinates, region = NormalBox(BOX), _Above(2.7)  # a corner: 0.3^2 / 2 of 2 x 4
    walls = NormalConstraints(region.constraints(), coordinates)
    within = NormalRegion(region, coordinates)

    def levels() -> Factory:
        return reflection_levels(within, walls, Gaussian(D))

    found = measure_mass(within, walls, Gaussian(D), levels, np.random.default_rng(2))
    assert found.low <= np.log10(0.3**2 / 16) <= found.high


def test_boxes_of_many_dimensions_are_taken_so() -> None:
    wide = UniformBox.around(torch.zeros(200, dtype=torch.float64), 1.0)
    assert is_wide(wide) and not is_wide(BOX) and not is_wide(Gaussian(200))
    region, hooks = _Above(), Reflections()
    kernel = hooks.kernel(region, wide, 1000)
    assert isinstance(kernel, NormalKernel)
    drawn = 2 * torch.rand(6, 200, generator=torch.Generator().manual_seed(0)) - 1
    brought = hooks.starts(region, wide, drawn)
    assert len(brought) == 6 and bool(region.contains(brought).all()) and bool(wide.contains(brought).all())
