# SPDX-License-Identifier: MIT
"""The self-test of ``egbas doctor``: explore a small network written out here."""

import torch
from torch import Tensor, nn

from egbas.exploration.explore import explore
from egbas.latent import LatentSpace
from egbas.samplers.gbrrt import GbRrtConfig


def small_network() -> nn.Module:
    """Make a generator of 2-D latents with 24 hidden units and images (1, 4, 4); no random numbers."""
    first, second = nn.Linear(2, 24, dtype=torch.float32), nn.Linear(24, 16, dtype=torch.float32)
    with torch.no_grad():
        first.weight.copy_(_formula(24, 2))
        first.bias.copy_(_formula(1, 24)[0])
        second.weight.copy_(_formula(16, 24) / 4)
        second.bias.zero_()
    network = nn.Sequential(first, nn.ReLU(), second, nn.Tanh(), nn.Unflatten(1, (1, 4, 4)))
    return network.eval().requires_grad_(False)


def self_test() -> str:
    """Explore the small network and say how it went.

    Raises:
        RuntimeError: a sample lies outside its region.
    """
    run = explore(
        small_network(),
        torch.tensor([0.3, -0.2], dtype=torch.float32),
        layer=1,
        rng=0,
        latent=LatentSpace(shape=(2,)),
        samples=0,
        gbrrt=GbRrtConfig(iterations=100),
    )
    n_samples, n_inside = run.certificate.n_samples, run.certificate.n_inside
    if n_inside != n_samples:
        raise RuntimeError(f"{n_samples - n_inside} of {n_samples} samples lie outside their region")
    return f"passed: a small network explored, all {n_samples} samples in their region"


def _formula(rows: int, columns: int) -> Tensor:
    return torch.sin(torch.arange(rows * columns, dtype=torch.float32) * 1.7 + rows).reshape(rows, columns)
