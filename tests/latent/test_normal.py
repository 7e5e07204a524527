# SPDX-License-Identifier: MIT
import math

import pytest
import torch

from egbas.latent import LatentSpace, Normal
from tests.latent.priors import log_densities, rng


def test_normal_prior_has_mean_zero_and_unit_deviation() -> None:
    z = LatentSpace(shape=(8,)).sample(20_000, rng=torch.Generator().manual_seed(0))
    # 160,000 draws: the standard errors are 0.0025 and 0.0018; the tolerances are four of them.
    assert abs(z.mean().item()) < 0.01
    assert abs(z.std().item() - 1) < 0.0075


def test_its_draws_are_what_they_have_always_been() -> None:
    assert torch.equal(LatentSpace(shape=(5,)).sample(4, rng()), torch.randn(4, 5, generator=rng()))


def test_its_density() -> None:
    log_2_pi = math.log(2 * math.pi)
    densities = log_densities(Normal(), torch.tensor([[0.5, -1.0], [0.0, 2.0]]))
    assert densities == pytest.approx([-log_2_pi - 0.625, -log_2_pi - 2.0])


def test_everything_is_in_its_support() -> None:
    assert LatentSpace(shape=(2,)).contains(torch.tensor([[0.0, 0.0], [-9.0, 99.0]])).all()


def test_the_length_is_that_of_the_chi_distribution() -> None:
    for size in (1, 2, 64, 512):
        lengths = torch.randn(20_000, size, generator=torch.Generator().manual_seed(size)).norm(dim=1)
        mean, deviation = Normal.length(size)
        assert abs(float(lengths.mean()) - mean) < 5 * deviation / 20_000**0.5
        assert abs(float(lengths.std()) / deviation - 1) < 0.05
