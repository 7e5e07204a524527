# SPDX-License-Identifier: MIT
"""Balls of a given prior mass, against counted draws of the prior."""

import math

import pytest
import torch
from torch import Tensor

from egbas.errors import ConfigError
from egbas.evaluation.equal_mass import BallDraws, ball_of_equal_mass
from egbas.latent import LatentSpace, Uniform
from egbas.latent.space import GeometryName


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ball(query: Tensor, space: LatentSpace, mass: float, n: int = 4000) -> BallDraws:
    return ball_of_equal_mass(query, space, math.log10(mass), n, rng=rng())


def angles(z: Tensor, query: Tensor) -> Tensor:
    return (z @ query / z.norm(dim=1) / query.norm()).clamp(-1, 1).acos()


@pytest.mark.parametrize("query", [[1.5, -0.5, 1.0], [0.0, 0.0, 0.0], [0.1, 0.0, 0.0]])
def test_the_normal_prior_in_a_ball_is_that_of_counted_draws(query: list[float]) -> None:
    z0 = torch.tensor(query).double()
    found = ball(z0, LatentSpace(shape=(3,)), 0.05)
    prior = torch.randn(400_000, 3, generator=rng(1)).double()
    far = (prior - z0).norm(dim=1)
    assert float((far <= found.radius).double().mean()) == pytest.approx(0.05, abs=0.002)
    inside = prior[far <= found.radius]
    assert float((found.latents - z0).norm(dim=1).max()) <= found.radius
    torch.testing.assert_close(found.latents.mean(dim=0), inside.mean(dim=0), atol=0.05, rtol=0)
    torch.testing.assert_close(found.latents.T.cov(), inside.T.cov(), atol=0.04, rtol=0)


def test_a_cap_of_the_sphere_has_the_mass() -> None:
    z0 = torch.tensor([1.0, 2.0, 0.0, -1.0]).double()
    found = ball(z0, LatentSpace(shape=(4,), geometry="sphere"), 0.03)
    torch.testing.assert_close(found.latents.norm(dim=1), z0.norm().expand(4000))
    prior = torch.randn(400_000, 4, generator=rng(1)).double()
    limit = found.radius / float(z0.norm())
    assert float((angles(prior, z0) <= limit).double().mean()) == pytest.approx(0.03, abs=0.002)
    inside = prior[angles(prior, z0) <= limit]
    assert float(angles(found.latents, z0).mean()) == pytest.approx(float(angles(inside, z0).mean()), rel=0.02)


def test_other_priors_give_their_nearest_draws() -> None:
    space = LatentSpace(shape=(2,), prior="uniform", bound=1.0)
    z0 = torch.tensor([0.95, 0.0]).double()
    found = ball(z0, space, 0.05, n=2000)
    assert bool(space.contains(found.latents.float()).all())
    # A disc, cut off by the edge of the square: its area is a twentieth of the square's, 0.2.
    r, gap = found.radius, 0.05
    segment = r**2 * math.acos(gap / r) - gap * math.sqrt(r**2 - gap**2)
    assert math.pi * r**2 - segment == pytest.approx(0.2, rel=0.05)


def test_deep_masses_of_many_dimensions() -> None:
    z0 = torch.randn(64, generator=rng(3)).double()
    radii = [ball(z0, LatentSpace(shape=(64,)), mass, n=20).radius for mass in (1e-30, 1e-17, 1e-6)]
    assert 0 < radii[0] < radii[1] < radii[2] < float(z0.norm()) + 8
    # Of a small ball the mass is its volume times the density at its middle, here within a factor of three.
    r, d = radii[0], 64
    log_volume = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1) + d * math.log(r)
    log_density = -d / 2 * math.log(2 * math.pi) - float(z0.square().sum()) / 2
    assert (log_volume + log_density) / math.log(10) == pytest.approx(-30, abs=4)


@pytest.mark.parametrize("log10_mass", [0.0, 1.0, math.nan])
def test_a_mass_is_below_one(log10_mass: float) -> None:
    with pytest.raises(ConfigError, match="expected a negative number"):
        ball_of_equal_mass(torch.zeros(2), LatentSpace(shape=(2,)), log10_mass, 5, rng=rng())


def test_too_small_a_ball_of_a_prior_without_a_formula_is_refused() -> None:
    space = LatentSpace(shape=(16,), prior="uniform", bound=1.0)  # such a ball reaches the sides in many dimensions
    with pytest.raises(ConfigError, match="holds 10 of 1,000,000 draws; expected 100"):
        ball(torch.zeros(16), space, 1e-5, n=100)


def test_a_small_disc_of_the_square_is_filled() -> None:
    space = LatentSpace(shape=(2,), prior="uniform", bound=1.0)
    for z0, share in ((torch.tensor([0.3, 0.2]), 1), (torch.tensor([1.0, -1.0]), 1 / 4)):  # in a corner a quarter
        found = ball(z0.double(), space, 1e-7, n=2000)
        assert bool(space.contains(found.latents.float()).all())
        assert share * math.pi * found.radius**2 == pytest.approx(4e-7, rel=0.1)


def test_one_coordinate_has_two_directions() -> None:
    z0 = torch.tensor([0.7]).double()
    found = ball(z0, LatentSpace(shape=(1,)), 0.4)
    prior = torch.randn(400_000, 1, generator=rng(1)).double()
    inside = prior[(prior - z0).norm(dim=1) <= found.radius]
    assert len(inside) / len(prior) == pytest.approx(0.4, abs=0.003)
    assert float((found.latents - z0).norm(dim=1).max()) <= found.radius
    for share in (0.1, 0.5, 0.9):
        assert float(found.latents.quantile(share)) == pytest.approx(float(inside.quantile(share)), abs=0.04)


@pytest.mark.parametrize(("size", "log10_mass"), [(512, -200.0), (512, -310.0), (64, -400.0), (64, -5000.0)])
@pytest.mark.parametrize("geometry", ["flat", "sphere"])
def test_a_mass_that_numbers_do_not_hold_is_refused(size: int, log10_mass: float, geometry: GeometryName) -> None:
    z0, space = torch.randn(size, generator=rng(3)), LatentSpace(shape=(size,), geometry=geometry)
    try:
        found = ball_of_equal_mass(z0, space, log10_mass, 5, rng=rng())
    except ConfigError as error:
        assert "too small" in str(error)
    else:  # a cap may be told where a ball is not
        assert geometry == "sphere" and log10_mass > -320 and bool(found.latents.isfinite().all())


def test_draws_of_large_latents_are_not_held_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    space = LatentSpace(shape=(2000,), prior="uniform", bound=1.0)
    sample = Uniform.sample

    def counted(self: Uniform, n: int, size: int, generator: torch.Generator) -> Tensor:
        asked.append(n)
        return sample(self, n, size, generator)

    monkeypatch.setattr(Uniform, "sample", counted)
    found = ball(torch.zeros(2000), space, 0.001, n=20)
    assert sum(asked) == 20_000 and max(asked) < 10_000
    assert float((found.latents.norm(dim=1)).max()) == pytest.approx(found.radius)
