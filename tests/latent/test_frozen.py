# SPDX-License-Identifier: MIT
import math

import pytest
import torch

from egbas.errors import ConfigError
from egbas.latent import Frozen, LatentSpace
from tests.latent.priors import MIXED, log_densities, rng


def test_frozen_coordinates_stay() -> None:
    z = LatentSpace(shape=(6,), prior=MIXED).sample(50, rng())
    assert (z[:, 2] == 0.3).all()
    assert (z.std(dim=0) > 0).sum() == 5
    assert torch.equal(z[:, :2], torch.randn(50, 2, generator=rng()))  # nothing is drawn for them


def test_its_support_is_one_latent_in_its_precision() -> None:
    z = torch.tensor([[0.6, 0.8], [0.6, 0.7]])
    assert Frozen((0.6, 0.8)).contains(z).tolist() == [True, False]
    assert Frozen((0.6, 0.8)).contains(z.double()).tolist() == [False] * 2  # 0.6 of float32 is no 0.6 of float64
    assert log_densities(Frozen((0.6, 0.8)), z) == [0.0, -math.inf]


@pytest.mark.parametrize("values", [(), (math.inf,)])
def test_values_are_finite_numbers(values: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="not a list of finite numbers"):
        Frozen(values)
