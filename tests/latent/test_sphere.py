# SPDX-License-Identifier: MIT
import math

import pytest
import torch

from egbas.errors import ConfigError
from egbas.latent import LatentSpace, Sphere
from tests.latent.priors import rng


def test_a_sphere_is_uniform_and_has_its_geometry() -> None:
    latent = LatentSpace(shape=(16,), prior=Sphere())
    z = latent.sample(20_000, rng())
    torch.testing.assert_close(z.norm(dim=1), torch.full((20_000,), 4.0))
    assert z.mean(dim=0).abs().max() < 0.03  # four standard errors of 1 / sqrt(20,000)
    assert (z.T.cov() - torch.eye(16)).abs().max() < 0.05
    assert (latent.geometry, latent.largest_half_width) == ("sphere", math.inf)
    assert LatentSpace(shape=(16,), prior=Sphere(), geometry="flat").largest_half_width == 8.0


def test_its_support_is_the_surface() -> None:
    z = torch.tensor([[0.0, 2.0], [2.0, 0.1], [0.6, 0.8]])
    assert Sphere(2.0).contains(z).tolist() == [True, False, False]
    assert Sphere(1.0).contains(z).tolist() == [False, False, True]


def test_it_has_no_density() -> None:
    assert LatentSpace(shape=(2,), prior=Sphere()).log_density(torch.ones(1, 2)) is None


def test_a_radius_is_positive() -> None:
    with pytest.raises(ConfigError, match="radius nan is not a positive number"):
        Sphere(math.nan)
