# SPDX-License-Identifier: MIT
import torch

from egbas.samplers.starts import descend
from egbas.samplers.target import Gaussian, UniformBox, UniformSphere
from tests.samplers.curved_forms import Told, ball, constraints, orthant

RNG = torch.Generator().manual_seed(0)


def test_draws_of_the_prior_come_inside() -> None:
    region = Told(orthant)
    found = descend(region, constraints(orthant, 8), torch.randn(50, 8, generator=RNG), Gaussian(8))
    assert found.latents.shape == (50, 8)
    assert found.n_failed == 0
    assert found.evaluations == region.n_asked
    assert bool(region.contains(found.latents).all())


def test_those_that_do_not_are_counted() -> None:
    z = torch.tensor([[1.0, 0.0], [30.0, 0.0]])
    found = descend(Told(ball), constraints(ball, 1), z, Gaussian(2), iterations=3)
    assert found.latents.tolist() == [[1.0, 0.0]]
    assert found.n_failed == 1


def test_the_support_is_not_left() -> None:
    box = UniformBox(-torch.ones(3), torch.ones(3))
    z = 2 * torch.rand(40, 3, generator=RNG) - 1
    found = descend(Told(orthant), constraints(orthant, 3), z, box).latents
    assert bool((found.abs() <= 1).all())
    on_sphere = descend(Told(orthant), constraints(orthant, 3), z, UniformSphere(3, 2.0)).latents
    torch.testing.assert_close(on_sphere.norm(dim=1), torch.full((len(on_sphere),), 2.0))
