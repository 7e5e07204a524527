# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest
import torch
from torch import Tensor

import egbas
from egbas.samplers.hamiltonian import HamiltonianKernel
from egbas.samplers.target import Gaussian, UniformBox
from tests.samplers import closed_forms
from tests.samplers.closed_forms import Polytope, Problem, z_scores

# With some 50 moments of right kernels in these tests, one beyond 4 standard errors comes once in 300 seeds.
LARGEST = 4.0


def kernel_for(problem: Problem) -> HamiltonianKernel:
    return HamiltonianKernel(problem.region, problem.region.linear(), problem.target)


@pytest.mark.parametrize("problem", [closed_forms.orthant(), closed_forms.slab(), closed_forms.cap()])
def test_moments_stay_what_they_are(problem: Problem) -> None:
    kernel = kernel_for(problem)
    scores = z_scores(problem, kernel)
    assert max(map(abs, scores.values())) < LARGEST, scores
    assert kernel.refusals == 0


def test_moments_of_the_uniform_distribution_in_a_box_stay_what_they_are() -> None:
    problem = closed_forms.triangle()
    scores = z_scores(problem, kernel_for(problem))
    assert max(map(abs, scores.values())) < LARGEST, scores


class Wrong:
    """Turns on in small steps until it happens to be inside: it looks the same and prefers what is reached late."""

    evaluations = 0

    def __init__(self, problem: Problem) -> None:
        self.region = problem.region

    def adapt(self, z: Tensor, rng: np.random.Generator) -> Tensor:
        return z

    def draw(self, z: Tensor, n: int, rng: np.random.Generator) -> Tensor:
        states = []
        for _ in range(n):
            p, new, t = torch.from_numpy(rng.standard_normal(z.shape)), z.clone(), 0.8
            is_outside = torch.ones(len(z), dtype=torch.bool)
            while bool(is_outside.any()):
                new[is_outside] = (z * math.cos(t) + p * math.sin(t))[is_outside]
                is_outside &= ~self.region.contains(new)
                t += 0.1
            states.append(z := new)
        return torch.stack(states, dim=1)


def test_the_test_finds_a_wrong_kernel() -> None:
    problem = closed_forms.orthant()
    scores = z_scores(problem, Wrong(problem))
    assert max(map(abs, scores.values())) > 2 * LARGEST, scores


def test_a_wrong_reflection_is_found_out() -> None:
    problem = closed_forms.orthant()
    kernel = kernel_for(problem)
    kernel._polytope = kernel._polytope._replace(products=1.5 * kernel._polytope.products)  # loses speed
    scores = z_scores(problem, kernel)
    assert max(map(abs, scores.values())) > 2 * LARGEST, scores


def test_many_walls_in_many_dimensions() -> None:
    # 200 walls that all pass close to the query: every state is inside, and no flight is lost to rounding.
    rng = np.random.default_rng(3)
    normals = torch.from_numpy(rng.standard_normal((200, 64)))
    query = torch.from_numpy(rng.standard_normal(64))
    region = Polytope(normals * torch.sign(normals @ query)[:, None], torch.zeros(200))
    kernel = HamiltonianKernel(region, region.linear(), Gaussian(64))
    draws = kernel.draw(kernel.adapt(query.repeat(8, 1), rng), 20, rng)
    assert draws.shape == (8, 20, 64) and draws.dtype == torch.float64
    assert bool(region.contains(draws.reshape(-1, 64)).all())
    assert kernel.refusals == 0 and kernel.bounces > 0
    assert kernel.evaluations == 8 * (2 + 32 + 20)
    assert len(np.unique(draws.numpy())) == draws.numel()


def test_a_chain_in_a_corner_stays_inside() -> None:
    # Walls at 1 degree: flights bounce many times in the corner.
    angle = math.radians(1)
    region = Polytope([[0, 1], [math.sin(angle), -math.cos(angle)]], [0, 0])
    rng = np.random.default_rng(0)
    kernel = HamiltonianKernel(region, region.linear(), Gaussian(2))
    start = torch.tensor([[1e-9, 1e-9 * math.tan(angle / 2)]], dtype=torch.float64).repeat(500, 1)
    draws = kernel.draw(start, 10, rng)
    assert bool(region.contains(draws.reshape(-1, 2)).all())
    lengths = draws[:, -1].square().sum(1)  # chi-squared with 2 degrees: mean 2, variance 4
    assert abs(lengths.mean().item() - 2) < 4 * 2 / math.sqrt(500)


def test_too_many_bounces_are_refused() -> None:
    region = Polytope([[1, 0], [-1, 0]], [0, 1e-6])
    kernel = HamiltonianKernel(region, region.linear(), Gaussian(2))
    start = torch.tensor([[5e-7, 0.3]], dtype=torch.float64).repeat(4, 1)
    draws = kernel.draw(start, 2, np.random.default_rng(0))
    # A flight crosses the slab about a million times.
    assert kernel.refusals == 8 and torch.equal(draws, start[:, None].expand(4, 2, 2))


def test_flights_are_as_long_as_the_region_allows() -> None:
    # A cube of 0.002: a quarter turn would meet thousands of walls.
    eye = torch.eye(3, dtype=torch.float64)
    region = Polytope(torch.cat([eye, -eye]), torch.full((6,), 1e-3))
    rng, kernel = np.random.default_rng(0), HamiltonianKernel(region, region.linear(), Gaussian(3))
    z = kernel.adapt(torch.zeros(100, 3), rng)
    kernel.bounces = 0
    draws = kernel.draw(z, 10, rng)
    assert 200 < kernel.bounces / 1000 < 2000 and kernel.refusals == 0
    assert abs(draws.square().mean().item() / (1e-6 / 3) - 1) < 0.06  # as good as uniform


def test_the_region_has_the_last_word() -> None:
    class Less(Polytope):
        def contains(self, z: Tensor) -> Tensor:
            return super().contains(z) & (z[:, 1] < 0.5)

    region = Less([[1, 0]], [0])
    kernel = HamiltonianKernel(region, region.linear(), Gaussian(2))
    draws = kernel.draw(torch.full((20, 2), 0.1, dtype=torch.float64), 20, np.random.default_rng(0))
    assert bool(region.contains(draws.reshape(-1, 2)).all()) and kernel.refusals > 0


def test_no_wall_is_met_in_a_free_space() -> None:
    region = Polytope(torch.zeros(0, 3), torch.zeros(0))
    kernel = HamiltonianKernel(region, region.linear(), UniformBox(-torch.ones(3), torch.ones(3)))
    draws = kernel.draw(kernel.adapt(torch.zeros(200, 3), np.random.default_rng(0)), 5, np.random.default_rng(0))
    assert draws.abs().max() <= 1 and abs(draws.square().mean().item() - 1 / 3) < 0.03


def test_same_seed_same_draws() -> None:
    problem = closed_forms.triangle()

    def draws() -> Tensor:
        rng, kernel = np.random.default_rng(5), kernel_for(problem)
        return kernel.draw(kernel.adapt(problem.starts(8, rng), rng), 6, rng)

    assert torch.equal(draws(), draws())


def test_layer_one_agrees_with_a_grid() -> None:
    model = egbas.load_model("dcgan-mnist-2d")
    z0 = model.latent.sample(1, torch.Generator().manual_seed(7))[0]
    region = closed_forms.layer_one(model.generator, z0, n_units=40)
    axis = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    grid = grid[region.contains(grid)]
    weights = torch.softmax(-grid.square().sum(1) / 2, dim=0)

    kernel = HamiltonianKernel(region, region.linear(), Gaussian(2))
    rng, n = np.random.default_rng(0), 400
    draws = kernel.draw(kernel.adapt(z0.double().repeat(n, 1), rng), 10, rng)
    assert bool(region.contains(draws.reshape(-1, 2)).all())
    for power in (1, 2):
        means = (draws**power).mean(dim=1)  # (chains, 2)
        scores = (means.mean(dim=0) - weights @ grid**power) / (means.std(dim=0) / math.sqrt(n))
        assert scores.abs().max() < LARGEST
