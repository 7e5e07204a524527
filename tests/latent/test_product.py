# SPDX-License-Identifier: MIT
import json
import math
from collections.abc import Callable

import pytest
import torch

from egbas.errors import ConfigError
from egbas.latent import Empirical, Frozen, LatentSpace, Normal, Prior, Product, Sphere, Uniform
from egbas.latent.product import prior_from_record, record_of
from tests.latent.priors import BANK, MIXED, log_densities


def test_its_density_is_that_of_the_coordinates_that_vary() -> None:
    z, log_2_pi = torch.tensor([[0.5, -1.0], [0.0, 2.0]]), math.log(2 * math.pi)
    frozen = Product(((1, Normal()), (1, Frozen((2.0,)))))
    assert log_densities(frozen, z) == pytest.approx([-math.inf, -log_2_pi / 2])
    assert log_densities(Product(((1, Normal()), (1, Uniform(2.5)))), z) == pytest.approx(
        [-log_2_pi / 2 - 0.125 - math.log(5), -log_2_pi / 2 - math.log(5)]
    )
    assert LatentSpace(shape=(4,), prior=Product(((2, Sphere()), (2, Normal())))).log_density(z.repeat(1, 2)) is None


def test_its_support_is_that_of_every_block() -> None:
    z = torch.tensor([[0.0, 2.0], [2.0, 0.1], [0.6, 0.8]])
    assert Product(((1, Frozen((0.6,))), (1, Uniform()))).contains(z).tolist() == [False, False, True]


class Narrow(Normal):
    """A user's prior that inherits its record."""

    def sample(self, n: int, size: int, rng: torch.Generator) -> torch.Tensor:
        return 0.1 * super().sample(n, size, rng)


@pytest.mark.parametrize("prior", [Normal(), Uniform(2.0), Sphere(), Sphere(1.5), Frozen((1.0, 2.0)), MIXED])
def test_a_record_tells_a_prior(prior: Prior) -> None:
    assert prior_from_record(json.loads(json.dumps(record_of(prior)))) == prior


@pytest.mark.parametrize(
    ("prior", "name"), [(Empirical(BANK), "empirical"), (Narrow(), "Narrow"), (Product(((3, Narrow()),)), "Narrow")]
)
def test_a_prior_that_no_record_tells_has_to_be_passed(prior: Prior, name: str) -> None:
    record = json.loads(json.dumps(record_of(prior)))
    with pytest.raises(ConfigError, match=f"'{name}' cannot be told from its record; pass the latent space as latent="):
        prior_from_record(record)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Product(()), "at least one coordinate each"),
        (lambda: Product(((0, Normal()),)), "at least one coordinate each"),
        (lambda: Product(((1, Frozen((1.0,))),)), "every coordinate of the product is frozen"),
        (lambda: Product(((2, Frozen((1.0,))), (1, Normal()))), r"\(frozen\) is one of 1 coordinates; got 2"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
