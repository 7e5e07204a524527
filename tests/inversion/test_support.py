# SPDX-License-Identifier: MIT
import math

import pytest
import torch

from egbas.inversion.support import coordinates_of
from egbas.latent import Empirical, Frozen, LatentSpace, Normal, Prior, Product, Sphere, Uniform
from tests.latent.priors import BANK, rng

PRIORS: dict[str, Prior] = {
    "normal": Normal(),
    "uniform": Uniform(0.5),
    "sphere": Sphere(2.0),
    "empirical": Empirical(BANK),
    "product": Product(((2, Uniform(0.5)), (1, Frozen((3.0,))))),
}


@pytest.mark.parametrize("name", PRIORS)
def test_free_coordinates_never_leave_the_support(name: str) -> None:
    space = LatentSpace(shape=(3,), prior=PRIORS[name])
    free = coordinates_of(space)
    u = (50 * torch.randn(200, 3, generator=rng())).requires_grad_()
    latents = free.latents(u)
    assert latents.dtype == torch.float32
    assert bool(space.contains(latents).all())
    (gradient,) = torch.autograd.grad(latents.sum(), u)
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("name", PRIORS)
def test_coordinates_of_a_draw_lead_back_to_it(name: str) -> None:
    space = LatentSpace(shape=(3,), prior=PRIORS[name])
    free, z = coordinates_of(space), space.sample(100, rng())
    torch.testing.assert_close(free.latents(free.of(z)), z, rtol=0, atol=1e-5)


def test_normal_latents_stay_where_draws_are() -> None:
    far = torch.full((1, 64), 100.0)
    mean, sigma = Normal.length(64)
    assert float(coordinates_of(LatentSpace(shape=(64,))).latents(far).norm()) == pytest.approx(mean + 4 * sigma)
    on_sphere = coordinates_of(LatentSpace(shape=(64,), geometry="sphere")).latents(far)
    assert float(on_sphere.norm()) == pytest.approx(math.sqrt(64))


def test_a_corner_of_a_box_has_a_gradient() -> None:
    free = coordinates_of(LatentSpace(shape=(2,), prior="uniform", bound=2.0))
    u = free.of(torch.tensor([[2.0, -2.0]])).requires_grad_()
    (gradient,) = torch.autograd.grad(free.latents(u).sum(), u)
    assert bool((gradient.abs() > 0).all())


def test_a_prior_of_the_users_own_has_latents_as_coordinates() -> None:
    class Half:
        def sample(self, n: int, size: int, rng: torch.Generator) -> torch.Tensor:
            return torch.rand(n, size, generator=rng)

        def contains(self, z: torch.Tensor) -> torch.Tensor:
            return (z >= 0).all(dim=1)

        def scale(self, size: int) -> float:
            return 0.3

        def largest_half_width(self, size: int) -> float:
            return 1.0

        def record(self) -> dict[str, str]:
            return {"prior": "half"}

    free = coordinates_of(LatentSpace(shape=(3,), prior=Half()))
    z = torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.equal(free.latents(free.of(z)), z)
