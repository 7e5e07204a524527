# SPDX-License-Identifier: MIT
from collections.abc import Callable

import pytest
import torch

from egbas.errors import ConfigError
from egbas.latent import Empirical
from egbas.latent.empirical import held_out_shrinkage
from tests.latent.priors import BANK, rng


def test_an_empirical_prior_has_the_moments_of_its_bank() -> None:
    prior = Empirical(BANK)
    torch.testing.assert_close(prior.mean, BANK.double().mean(0))
    torch.testing.assert_close(prior.covariance, BANK.double().T.cov())
    torch.testing.assert_close(prior.factor @ prior.factor.T, prior.covariance)
    z = prior.sample(50_000, 3, rng())
    torch.testing.assert_close(z.double().mean(0), prior.mean, rtol=0, atol=0.04)  # four standard errors
    torch.testing.assert_close(z.double().T.cov(), prior.covariance, rtol=0, atol=0.15)
    e = prior.whiten(z)
    torch.testing.assert_close(e.T.cov(), torch.eye(3, dtype=torch.float64), rtol=0, atol=0.03)
    torch.testing.assert_close(prior.unwhiten(e).float(), z)
    given = BANK.clone()
    changed = Empirical(given)
    given.zero_()
    torch.testing.assert_close(changed.bank, BANK)  # the prior has a copy of its own


def test_its_density() -> None:
    bank = Empirical(BANK)
    points = BANK[:7] + 1.0
    torch.testing.assert_close(
        bank.log_density(points),
        torch.distributions.MultivariateNormal(bank.mean, bank.covariance).log_prob(points.double()),
    )


def test_few_latents_need_shrinkage() -> None:
    few = torch.randn(3, 5, generator=rng())
    with pytest.raises(ConfigError, match=r"of 3 latents in 5 dimensions is singular.*shrinkage such as 0\.1"):
        Empirical(few)
    shrunk, alone = Empirical(few, shrinkage=0.1), Empirical(few, shrinkage=1.0)
    assert torch.isfinite(shrunk.log_density(few)).all()
    assert shrunk.scale(5) == pytest.approx(alone.scale(5))
    torch.testing.assert_close(alone.covariance, alone.scale(5) ** 2 * torch.eye(5, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Empirical(BANK[:1]), r"shape \(1, 3\); expected \(m, d\), m at least 2"),
        (lambda: Empirical(BANK / 0), "all finite"),
        (lambda: Empirical(BANK, shrinkage=1.5), r"is 1\.5; it must be from 0 to 1"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_whitened_latents_that_were_left_out_are_as_long_as_draws() -> None:
    # 60 latents of 40 dimensions, three of them large: the case of encoders.
    large = torch.cat([torch.full((3,), 10.0), torch.ones(37)])
    draws = large * torch.randn(2000, 40, generator=rng(1))
    bank, others = draws[:60], draws[60:]
    shrunk = Empirical(bank, shrinkage=held_out_shrinkage(bank))
    hardly = Empirical(bank, shrinkage=0.001)

    def length(prior: Empirical) -> float:
        return float(prior.whiten(others).square().mean().sqrt())

    assert length(shrunk) == pytest.approx(1.0, abs=0.35)
    assert length(hardly) > 1.5


def test_many_latents_need_hardly_any_shrinkage() -> None:
    assert held_out_shrinkage(BANK) <= 0.01


def test_two_latents_are_too_few_to_leave_some_out() -> None:
    with pytest.raises(ConfigError, match="bank of 2 latents"):
        held_out_shrinkage(BANK[:2])
    with pytest.raises(ConfigError, match="equal ones"):
        held_out_shrinkage(BANK[:1].repeat(9, 1))
