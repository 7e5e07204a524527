# SPDX-License-Identifier: MIT
"""Priors that the tests of latent spaces share."""

import torch

from egbas.latent import Frozen, Normal, Prior, Product, Uniform
from egbas.latent.prior import log_density_of


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


BANK = torch.randn(300, 3, generator=rng(5)) @ torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.3, 1.0]]) + 4.0
MIXED = Product(((2, Normal()), (1, Frozen((0.3,))), (3, Uniform(2.0))))


def log_densities(prior: Prior, z: torch.Tensor) -> list[float]:
    values = log_density_of(prior, z)
    assert values is not None
    return values.tolist()
