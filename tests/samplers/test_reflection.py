# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch
from torch import Tensor

from egbas.network import Network
from egbas.region import Precisions, SupportingRegion
from egbas.region.stem_constraints import constraints_of
from egbas.samplers.reflection import ReflectionConfig, ReflectionKernel
from egbas.samplers.target import Gaussian, UniformBox, UniformSphere
from egbas.zoo.models import load_model
from tests.samplers.curved_forms import MEAN_HALF, Told, constraints, orthant, z_score

QUICK = ReflectionConfig(rounds=2, steps=60)


def drawn(target: Gaussian | UniformBox | UniformSphere, start: Tensor) -> tuple[ReflectionKernel, Tensor]:
    kernel = ReflectionKernel(Told(orthant), constraints(orthant, len(start)), target, QUICK)
    rng = np.random.default_rng(0)
    z = kernel.adapt(start.double().expand(200, -1), rng)
    return kernel, kernel.draw(z, 60, rng)[:, 10:]


def test_the_prior_in_an_orthant() -> None:
    kernel, x = drawn(Gaussian(4), torch.ones(4))
    assert bool((x >= 0).all())
    assert kernel.evaluations > 200 * 2 * 60
    assert max(abs(z_score(x[..., i], MEAN_HALF)) for i in range(4)) < 4


def test_the_uniform_distribution_in_a_box() -> None:
    _, x = drawn(UniformBox(-torch.ones(3).double(), 2 * torch.ones(3).double()), torch.ones(3))
    assert 0 <= float(x.min()) <= float(x.max()) <= 2
    assert max(abs(z_score(x[..., i], 1.0)) for i in range(3)) < 4
    assert abs(z_score(x[..., 0] ** 2, 4 / 3)) < 4


def test_the_uniform_distribution_on_a_sphere() -> None:
    _, x = drawn(UniformSphere(3, 2.0), torch.full((3,), 2 / 3**0.5))
    torch.testing.assert_close(x.norm(dim=2), torch.full(x.shape[:2], 2.0, dtype=torch.float64))
    assert abs(z_score(x[..., 0], 1.0)) < 4  # a coordinate is uniform from 0 to 2
    assert abs(z_score(x[..., 0] ** 2, 4 / 3)) < 4


@pytest.mark.parametrize("layer", [2, 3])
def test_a_region_in_the_plane_agrees_with_a_grid(layer: int) -> None:
    model = load_model("dcgan-mnist-2d")
    network = Network(model.generator, model.latent.shape)
    precisions = Precisions.of(network, network.resolve(layer))
    z0 = torch.tensor([0.3, -0.2])
    h = precisions.split.head(z0[None])[0]
    units = h.abs().topk(60).indices
    region = SupportingRegion.of(precisions, z0, units, h[units].sign().to(torch.int8), reach=1.0)
    box = UniformBox(-torch.ones(2), torch.ones(2))
    kernel = ReflectionKernel(region, constraints_of(region, model.latent.sample(64, torch.Generator())), box, QUICK)
    rng = np.random.default_rng(0)
    z = kernel.adapt(z0.expand(100, -1), rng)
    x = kernel.draw(z, 60, rng)[:, 10:]
    assert bool((region.margin(x.reshape(-1, 2)) >= 0).all())

    axis = (torch.arange(160) + 0.5) / 80 - 1
    grid = torch.cartesian_prod(axis, axis)
    inside = grid[region.contains(grid)]
    for function in (lambda z: z[..., 0], lambda z: z[..., 1], lambda z: z[..., 0] * z[..., 1]):
        assert abs(z_score(function(x), float(function(inside).mean()))) < 4.5  # the grid itself is off by a little


def test_same_seed_same_draws() -> None:
    assert torch.equal(drawn(Gaussian(2), torch.ones(2))[1], drawn(Gaussian(2), torch.ones(2))[1])


def test_the_evaluations_are_bounded_in_a_thin_region() -> None:
    # A slab in many dimensions, in which trajectories have thousands of steps.
    def slab(z: Tensor) -> Tensor:
        return 1e-4 - z.abs()

    kernel = ReflectionKernel(
        Told(slab), constraints(slab, 6), Gaussian(6), ReflectionConfig(rounds=2, steps=60, most=4000)
    )
    rng = np.random.default_rng(0)
    z = kernel.adapt(torch.zeros(16, 6).double(), rng)
    assert kernel.config.steps == 4000 // (3 * 2 * 16)
    before = kernel.evaluations
    draws = kernel.draw(z, 100, rng)
    assert before < 4000 <= kernel.evaluations < 4000 + 16
    assert draws.shape[1] < 100
