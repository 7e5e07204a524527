# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from egbas.samplers.hamiltonian import HamiltonianKernel
from egbas.samplers.hit_and_run import HitAndRunKernel
from egbas.samplers.target import Gaussian, UniformBox, UniformSphere
from tests.samplers import closed_forms
from tests.samplers.closed_forms import Oracle, Polytope, Problem, z_scores

# With some 50 moments in these tests, one beyond 4 standard errors comes once in 300 seeds.
LARGEST = 4.0

PROBLEMS = [
    closed_forms.orthant(),
    closed_forms.slab(),
    closed_forms.cone(),
    closed_forms.ball(),
    closed_forms.ball(is_outside=True),
    closed_forms.quadrants(),
    closed_forms.cap(is_oracle=True),
    closed_forms.triangle(),
    closed_forms.laplace(),
]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_moments_stay_what_they_are(problem: Problem) -> None:
    scores = z_scores(problem, HitAndRunKernel(problem.region, problem.target))
    assert max(map(abs, scores.values())) < LARGEST, scores


class Wrong(HitAndRunKernel):
    """Stops all chains of a round as soon as most of them have moved, and takes the others as they are: biased."""

    def draw(self, z: Tensor, n: int, rng: np.random.Generator) -> Tensor:
        states = []
        for _ in range(n):
            p, angle = (
                torch.from_numpy(rng.standard_normal(z.shape)),
                torch.from_numpy(rng.uniform(0, 1.5, (len(z), 1))),
            )
            while True:  # the bracket is one-sided, and so does not hold the state for the way back
                new = z * torch.cos(angle) + p * torch.sin(angle)
                is_inside = torch.from_numpy(self._is_inside(new.numpy()))
                if bool(is_inside.all()):
                    break
                angle[~is_inside] *= 0.7
            states.append(z := new)
        return torch.stack(states, dim=1)


def test_the_test_finds_a_wrong_kernel() -> None:
    problem = closed_forms.orthant()
    scores = z_scores(problem, Wrong(problem.region, problem.target))
    assert max(map(abs, scores.values())) > 2 * LARGEST, scores


@pytest.mark.parametrize(
    "target",
    [Gaussian(6), UniformSphere(6, 2.0), UniformBox(-torch.ones(6), 2 * torch.ones(6))],
    ids=["gaussian", "sphere", "box"],
)
def test_two_kernels_of_one_region_agree(target: Gaussian | UniformSphere | UniformBox) -> None:
    rng = np.random.default_rng(2)
    normals = torch.from_numpy(rng.standard_normal((12, 6)))
    start = torch.full((300, 6), 2 / math.sqrt(6), dtype=torch.float64)
    region = Polytope(normals, 0.5 + torch.from_numpy(rng.uniform(size=12)) - normals @ start[0])
    flights = HamiltonianKernel(region, region.linear(), target)
    slices = HitAndRunKernel(Oracle(region.contains), target, moves=6)
    found = [kernel.draw(kernel.adapt(start, rng), 15, rng) for kernel in (flights, slices)]
    for power in (1, 2):
        means = torch.stack([(draws**power).mean(dim=1) for draws in found])  # (kernels, chains, d)
        errors = means.std(dim=1) / math.sqrt(300)
        scores = (means[0] - means[1]).mean(dim=0) / errors.square().sum(dim=0).sqrt()
        assert scores.abs().max() < LARGEST


def test_a_narrow_region_is_learnt() -> None:
    # As wide as N(0, 1) along one diagonal, 0.014 along the other: most lines of round directions are short.
    region = Polytope([[1.0, 1.0], [-1.0, -1.0]], [0.01, 0.01])

    def square_step(*, has_adapted: bool) -> float:
        rng, z = np.random.default_rng(0), torch.zeros(64, 2)
        kernel = HitAndRunKernel(Oracle(region.contains), Gaussian(2), moves=2)
        draws = kernel.draw(kernel.adapt(z, rng) if has_adapted else z, 50, rng)
        return (draws[:, 1:, 0] - draws[:, :-1, 0]).square().mean().item()

    assert square_step(has_adapted=True) > 5 * square_step(has_adapted=False)


def test_every_move_is_counted_and_every_state_is_inside() -> None:
    asked = []

    def inside(z: Tensor) -> Tensor:
        asked.append(len(z))
        return z.norm(dim=1) < 1

    kernel = HitAndRunKernel(Oracle(inside), Gaussian(3), moves=5)
    draws = kernel.draw(torch.zeros(7, 3), 4, np.random.default_rng(0))
    assert draws.shape == (7, 4, 3) and draws.norm(dim=2).max() < 1
    assert kernel.evaluations == sum(asked) >= 7 * 4 * 5
    assert max(asked) == 7  # one call a round for all chains
    assert len(np.unique(draws.numpy())) == draws.numel()


def test_a_region_of_one_point_ends() -> None:
    kernel = HitAndRunKernel(Oracle(lambda z: torch.zeros(len(z), dtype=torch.bool)), Gaussian(2), moves=1)
    draws = kernel.draw(torch.ones(3, 2), 2, np.random.default_rng(0))
    assert torch.equal(draws, torch.ones(3, 2, 2).double())


def test_same_seed_same_draws() -> None:
    problem = closed_forms.laplace()

    def draws() -> Tensor:
        rng, kernel = np.random.default_rng(5), HitAndRunKernel(problem.region, problem.target)
        return kernel.draw(kernel.adapt(problem.starts(8, rng), rng), 6, rng)

    assert torch.equal(draws(), draws())
