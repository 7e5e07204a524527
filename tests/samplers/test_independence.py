# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from egbas.samplers.hit_and_run import HitAndRunKernel
from egbas.samplers.independence import Leaps, Mixture, log_density
from egbas.samplers.kernel import Array, Membership
from egbas.samplers.target import Density, Gaussian, UniformBox, UniformSphere
from tests.samplers import closed_forms
from tests.samplers.closed_forms import Oracle, Problem, z_scores

LARGEST = 4.0  # as in test_hit_and_run


class Leaping:
    """Leaps alone, to the draws of a mixture that fits badly: around points of a normal distribution of its own."""

    evaluations = 0

    def __init__(self, problem: Problem, *, is_right: bool = True) -> None:
        self.problem, self.is_right = problem, is_right

    def adapt(self, z: Tensor, rng: np.random.Generator) -> Tensor:
        middle, deviation = z.numpy().mean(axis=0), z.numpy().std(axis=0)
        centres = middle + deviation * rng.standard_normal((40, z.shape[1]))
        self.mixture = Mixture(centres=centres, factor=np.diag(deviation), width=0.8)
        return self.draw(z, 10, rng)[:, -1]

    def draw(self, z: Tensor, n: int, rng: np.random.Generator) -> Tensor:
        mixture = self.mixture if self.is_right else Flat(**vars(self.mixture))
        is_inside, target = Membership(self.problem.region), self.problem.target
        states, accepted = Leaps(mixture=mixture, target=target, is_inside=is_inside)(z.numpy(), n, 4, rng)
        assert 0 < accepted < 1
        return torch.from_numpy(states)


class Flat(Mixture):
    """Pretends that all its draws are equally likely."""

    def log_density(self, z: Array) -> Array:
        return np.zeros(len(z))


PROBLEMS = [closed_forms.slab(), closed_forms.quadrants(), closed_forms.triangle(), closed_forms.laplace()]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_moments_stay_what_they_are_whatever_the_mixture(problem: Problem) -> None:
    scores = z_scores(problem, Leaping(problem), n_chains=500)
    assert max(map(abs, scores.values())) < LARGEST, scores


def test_the_test_finds_weights_that_are_wrong() -> None:
    problem = closed_forms.slab()
    scores = z_scores(problem, Leaping(problem, is_right=False), n_chains=500)
    assert max(map(abs, scores.values())) > 2 * LARGEST, scores


def test_a_mixture_draws_from_its_density() -> None:
    mixture = Mixture(centres=np.array([[-1.0], [2.0]]), factor=np.array([[1.5]]), width=0.2)
    rng, x = np.random.default_rng(0), np.linspace(-20, 20, 4001)
    density = np.exp(mixture.log_density(x[:, None]))
    cdf = np.cumsum(density) / density.sum()
    drawn = mixture.draw(20_000, rng)[:, 0]
    assert stats.kstest(drawn, lambda at: np.interp(at, x, cdf)).pvalue > 0.001


def test_it_lies_where_the_states_are() -> None:
    rng = np.random.default_rng(1)
    states = rng.standard_normal((3000, 2)) * [3.0, 0.1] + [5.0, 0.0]
    mixture = Mixture.of(states)
    assert len(mixture.centres) <= 512
    drawn = mixture.draw(20_000, rng)
    assert np.allclose(drawn.mean(axis=0), [5.0, 0.0], atol=[0.3, 0.01])
    assert np.allclose(drawn.std(axis=0), [3.0, 0.1], rtol=0.3)  # a tenth of them is twice as wide


def test_densities() -> None:
    z = np.array([[0.5, 0.5], [0.5, 2.0]])
    assert np.allclose(np.diff(log_density(Gaussian(2), z)), -(4.0 - 0.25) / 2)
    assert log_density(UniformBox(torch.zeros(2), torch.ones(2)), z).tolist() == [0.0, -np.inf]
    assert log_density(Density(lambda at: -at.sum(dim=1), 2), z).tolist() == [-1.0, -2.5]
    with pytest.raises(TypeError, match="no density"):
        log_density(UniformSphere(2, 1.0), z)


def test_only_what_the_target_allows_is_asked_about() -> None:
    asked = []

    def inside(z: Tensor) -> Tensor:
        asked.append(z)
        return z[:, 0] > 0.5

    box = UniformBox(torch.zeros(2), torch.ones(2))
    mixture = Mixture(centres=np.full((1, 2), 0.8), factor=np.eye(2), width=0.3)
    start, is_inside = np.full((5, 2), 0.8), Membership(Oracle(inside))
    states, _ = Leaps(mixture=mixture, target=box, is_inside=is_inside)(start, 20, 2, np.random.default_rng(0))
    assert len(asked) == 1 and bool(box.contains(asked[0]).all())  # one call for all moves
    assert is_inside.evaluations == len(asked[0]) < 5 * 20 * 2
    assert states[..., 0].min() > 0.5


def kernel_of(inside: Oracle, d: int, **settings: int) -> tuple[HitAndRunKernel, Tensor]:
    rng, start = np.random.default_rng(3), torch.zeros(32, d, dtype=torch.float64)
    start[:, 0] = 2.0
    kernel = HitAndRunKernel(inside, Gaussian(d), **settings)
    return kernel, kernel.draw(kernel.adapt(start, rng), 16, rng)


def test_draws_of_few_dimensions_forget_the_one_before() -> None:
    kernel, draws = kernel_of(Oracle(lambda z: (z.norm(dim=1) > 1) & (z[:, 0] > 0)), 2)
    now, next_ = draws[:, :-1].reshape(-1, 2).T.numpy(), draws[:, 1:].reshape(-1, 2).T.numpy()
    assert max(abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(now, next_, strict=True)) < 0.4  # 0.6 and more along curves
    assert kernel.evaluations < 15_000


def test_where_few_leaps_are_accepted_moves_go_along_curves() -> None:
    inside = Oracle(lambda z: (z.norm(dim=1) - 2).abs() < 0.05)  # a thin shell
    kernel, draws = kernel_of(inside, 4)
    assert kernel._leaps is None
    assert bool(inside.contains(draws.reshape(-1, 4)).all())
    assert kernel_of(Oracle(lambda z: z[:, 0] > 0), 5)[0]._leaps is None  # too many dimensions


@pytest.mark.parametrize("most", [1, 500, 3000])
def test_the_limit_is_kept(most: int) -> None:
    kernel, draws = kernel_of(Oracle(lambda z: z[:, 0] > 0), 2, most=most)
    assert kernel.evaluations <= most + 32 * 20  # the last call is made whole
    assert draws.shape[0] == 32 and bool((draws[..., 0] > 0).all())
