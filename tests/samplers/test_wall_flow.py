# SPDX-License-Identifier: MIT
import numpy as np
import torch
from torch import Tensor

from egbas.region.constraints import FunctionConstraints, Pull
from egbas.samplers.reflection import ReflectionConfig, ReflectionKernel
from egbas.samplers.target import Gaussian
from egbas.samplers.wall_flow import flow_of_walls, rescaled

D, HALF = 150, 0.05


class _Slab:
    """Narrow in one direction, across two coordinates, and free in all others."""

    def __init__(self) -> None:
        self.normal = torch.zeros(D, dtype=torch.float32)
        self.normal[:2] = torch.tensor([0.6, 0.8])

    def contains(self, z: Tensor) -> Tensor:
        return (z.float() @ self.normal).abs() < HALF

    def constraints(self) -> FunctionConstraints:
        def margins(z: Tensor) -> Tensor:
            along = z.float() @ self.normal
            return torch.stack([HALF - along, HALF + along], dim=1)

        return FunctionConstraints(function=margins, scale=torch.ones(2))


def test_the_flow_is_slow_across_walls_alone() -> None:
    slab = _Slab()
    z = torch.randn(12, D, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    z = z - (z @ slab.normal)[:, None] * slab.normal
    flow, n_passes = flow_of_walls(slab.constraints(), z.double())
    slowest = int(flow.rates.argmin())
    assert abs(abs(flow.basis[:, slowest] @ slab.normal.numpy()) - 1) < 1e-5
    # Two walls at the distance 0.05: 1 / sqrt(1 + 2 / 0.05^2).
    np.testing.assert_allclose(flow.rates[slowest], 1 / np.sqrt(1 + 2 / HALF**2), rtol=1e-4)
    np.testing.assert_allclose(np.delete(flow.rates, slowest), 1.0, rtol=1e-6)
    assert n_passes == 8 * 2
    wide = rescaled(flow, np.random.default_rng(0).standard_normal((500, D)) * 0.3)
    np.testing.assert_allclose(wide.rates[slowest], 0.3, rtol=0.1)
    np.testing.assert_allclose(np.delete(wide.rates, slowest), 1.0)


def test_many_dimensions_are_warmed_up_by_walls() -> None:
    slab, rng = _Slab(), np.random.default_rng(1)
    kernel = ReflectionKernel(slab, slab.constraints(), Gaussian(D), ReflectionConfig(most=14_000))
    start = torch.zeros(12, D, dtype=torch.float64)
    start[:, 0], start[:, 1] = 0.8, -0.6  # in the slab
    z = kernel.adapt(start, rng)
    assert kernel.flow.rates.min() < 0.1 and np.median(kernel.flow.rates) == 1.0
    usual = ReflectionConfig().lengths  # trajectories are shorter there, and their steps less even
    assert kernel.lengths.longest < usual.longest and kernel.lengths.jitter > usual.jitter
    draws = kernel.draw(z, 12, rng)[:, 2:].flatten(0, 1)
    along = draws @ slab.normal.double()
    assert bool((along.abs() < HALF).all())
    assert abs(float(along.std()) / (HALF / 3**0.5) - 1) < 0.2
    assert abs(float(draws[:, 2:].std()) - 1) < 0.03  # of 120 draws of 148 coordinates


def test_gradients_of_many_walls_are_asked_for_a_few_at_a_time() -> None:
    matrix = torch.randn(300, D, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
    sizes: list[int] = []

    class Noted(FunctionConstraints):
        def vjp(self, z: Tensor) -> tuple[Tensor, Pull]:
            sizes.append(len(z))
            return super().vjp(z)

    walls = Noted(function=lambda z: z.float() @ matrix.T + 1.0, scale=torch.ones(300))
    flow, n_passes = flow_of_walls(walls, torch.zeros(1, D, dtype=torch.float64))
    assert sizes == [64] * 4 and n_passes == 256
    # All margins are 1, so that the first 256 walls by number count.
    chosen = torch.ones(1, 300).argsort(dim=1)[0, :256]
    normals = matrix[chosen].double()
    expected = np.linalg.eigvalsh((torch.eye(D, dtype=torch.float64) + normals.T @ normals).numpy())
    np.testing.assert_allclose(np.sort(flow.rates), np.sort(1 / np.sqrt(expected)), rtol=1e-4)
