# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from egbas.errors import ConfigError
from egbas.region.constraints import AffineConstraints
from egbas.samplers.mass import LevelRegion, Mass, MassConfig, measure_mass, prior_draws, reflection_levels
from egbas.samplers.target import Gaussian, UniformBox, UniformSphere
from tests.samplers.curved_forms import Told, cone, constraints


def measured(weight: Tensor, offset: Tensor, seed: int = 0) -> Mass:
    walls = AffineConstraints(weight=weight, offset=offset)
    region, target = LevelRegion(walls, 0.0), Gaussian(weight.shape[1])
    rng = np.random.default_rng(seed)
    return measure_mass(region, walls, target, lambda: reflection_levels(region, walls, target), rng)


def test_a_large_mass_is_counted() -> None:
    mass = measured(torch.eye(3), torch.zeros(3))
    assert mass.low <= -3 * math.log10(2) <= mass.high
    assert mass.evaluations == MassConfig().plain


def test_an_orthant_by_levels() -> None:
    mass = measured(torch.eye(12), torch.zeros(12))
    assert mass.is_complete
    assert mass.low <= -12 * math.log10(2) <= mass.high
    assert mass.high - mass.low < 1
    assert bool((mass.latents >= 0).all())


def test_a_thin_slab_by_levels() -> None:
    weight = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    mass = measured(weight, torch.tensor([-2.0, 2.01]))
    assert mass.low <= math.log10(stats.norm.cdf(2.01) - stats.norm.cdf(2)) <= mass.high


def test_a_cone() -> None:
    region, target = Told(cone), Gaussian(3)
    normals = constraints(cone, 1)
    rng = np.random.default_rng(0)
    mass = measure_mass(region, normals, target, lambda: reflection_levels(region, normals, target), rng)
    assert mass.low <= math.log10(0.25) <= mass.high


def test_a_region_that_no_particle_reaches() -> None:
    walls = AffineConstraints(weight=torch.zeros(1, 2), offset=-torch.ones(1))
    region, target = LevelRegion(walls, 0.0), Gaussian(2)
    config = MassConfig(particles=8, repetitions=2, most_levels=2, plain=16, enough=1)
    factory = lambda: reflection_levels(region, walls, target)  # noqa: E731
    mass = measure_mass(region, walls, target, factory, np.random.default_rng(0), config)
    assert not mass.is_complete
    assert mass.latents.shape == (0, 2)


def test_draws_of_the_prior() -> None:
    rng = np.random.default_rng(0)
    box = prior_draws(UniformBox(torch.zeros(2), 3 * torch.ones(2)), 500, rng)
    assert 0 <= float(box.min()) < 0.1
    assert 2.9 < float(box.max()) <= 3
    assert prior_draws(Gaussian(4), 5, rng).shape == (5, 4)
    torch.testing.assert_close(prior_draws(UniformSphere(3, 2.0), 5, rng).norm(dim=1), torch.full((5,), 2.0))


def test_settings_out_of_range() -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        MassConfig(repetitions=1)
