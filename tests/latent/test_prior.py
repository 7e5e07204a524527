# SPDX-License-Identifier: MIT
import json

import pytest
import torch

from egbas.errors import ConfigError
from egbas.latent import Empirical, LatentSpace, Normal, Prior, Sphere, Uniform
from egbas.latent.prior import check_positive, check_size, description_of, log_density_of
from tests.latent.priors import BANK, MIXED, rng


@pytest.mark.parametrize(
    ("prior", "d"),
    [(Normal(), 4), (Uniform(3.0), 4), (Sphere(), 4), (Sphere(3.0), 4), (MIXED, 6), (Empirical(BANK), 3)],
)
def test_every_prior_keeps_the_contract(prior: Prior, d: int) -> None:
    assert isinstance(prior, Prior)
    latent = LatentSpace(shape=(d,), prior=prior)
    z = latent.sample(20_000, rng())
    assert (z.shape, z.dtype) == ((20_000, d), torch.float32)
    assert torch.equal(z[:9], latent.sample(20_000, rng())[:9])
    assert latent.contains(z).all()
    varying = z.double().var(dim=0)
    spread = varying[varying > 0].mean().sqrt().item()
    assert latent.scale == pytest.approx(spread, rel=0.02)  # of 20,000 draws the standard error is half a percent
    gaps = (z[:1000, None] - z[None, :1000]).abs()
    assert (gaps <= prior.largest_half_width(d)).float().mean() > 0.99
    assert json.loads(json.dumps(latent.record())) == latent.record()
    assert latent.description


def test_the_density_on_a_line_sums_to_one() -> None:
    line = torch.linspace(-8, 8, 4001)[:, None]
    for prior in (Normal(), Uniform(2.0), Empirical(0.7 * torch.randn(50, 1, generator=rng()))):
        assert torch.trapezoid(prior.log_density(line).exp(), dx=16 / 4000).item() == pytest.approx(1, abs=2e-3)


class Bare:
    """A prior that says nothing of itself."""


def test_what_a_prior_need_not_say() -> None:
    assert log_density_of(Bare(), torch.zeros(1, 2)) is None
    assert description_of(Bare()) == "Bare"
    check_size(Normal(), 7)  # a prior of any number of coordinates
    check_size(MIXED, 6)
    with pytest.raises(ConfigError, match="is one of 6 coordinates; got 7"):
        check_size(MIXED, 7)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_settings_are_positive_numbers(value: float) -> None:
    with pytest.raises(ConfigError, match=f"latent width {value} is not a positive number"):
        check_positive(value, "width")
