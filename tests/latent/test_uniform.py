# SPDX-License-Identifier: MIT
import math

import pytest
import torch

from egbas.errors import ConfigError
from egbas.latent import LatentSpace, Uniform
from tests.latent.priors import log_densities, rng


def test_uniform_prior_fills_its_support() -> None:
    latent = LatentSpace(shape=(2,), prior="uniform", bound=3.0)
    z = latent.sample(20_000, rng=torch.Generator().manual_seed(0))
    assert z.abs().max() <= 3.0
    # The chance that none of 40,000 draws falls into the last 0.1 % of the support is e^-20 on either side.
    assert z.min() < -2.994
    assert z.max() > 2.994
    assert z.std().item() == pytest.approx(latent.scale, rel=0.02)


def test_support_of_the_uniform_prior_is_the_closed_box() -> None:
    z = torch.tensor([[0.0, 0.0], [3.0, -3.0], [0.0, 3.01], [-9.0, 0.0]])
    uniform = LatentSpace(shape=(2,), prior="uniform", bound=3.0)
    assert uniform.contains(z).tolist() == [True, True, False, False]


def test_its_draws_are_what_they_have_always_been() -> None:
    uniform = LatentSpace(shape=(5,), prior="uniform", bound=3.0)
    assert torch.equal(uniform.sample(4, rng()), 3.0 * (2 * torch.rand(4, 5, generator=rng()) - 1))


def test_its_density() -> None:
    densities = log_densities(Uniform(1.5), torch.tensor([[0.5, -1.0], [0.0, 2.0]]))
    assert densities == pytest.approx([-2 * math.log(3), -math.inf])


def test_a_bound_is_positive() -> None:
    with pytest.raises(ConfigError, match=r"bound -1\.0 is not a positive number"):
        Uniform(-1.0)
