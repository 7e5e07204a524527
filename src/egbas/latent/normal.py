# SPDX-License-Identifier: MIT
"""The normal prior N(0, 1), of most generators."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.latent.prior import FAR
from egbas.machine.settings import settles


@dataclass(frozen=True)
class Normal:
    """N(0, 1) in every coordinate."""

    description = "normal"

    @staticmethod
    def length(size: int) -> tuple[float, float]:
        """Mean and standard deviation of a latent's length, in latent units: the chi distribution's."""
        mean = math.sqrt(2) * math.exp(math.lgamma((size + 1) / 2) - math.lgamma(size / 2))
        return mean, math.sqrt(max(size - mean**2, 1e-12))

    @settles
    def sample(self, n: int, size: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Draw latents."""
        return torch.randn(n, size, generator=rng, dtype=torch.float32)

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """All are in the support."""
        return torch.ones(len(z), dtype=torch.bool, device=z.device)

    def log_density(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Its logarithm, in float64."""
        return -0.5 * (z.double().square().sum(dim=1) + z.shape[1] * math.log(2 * math.pi))

    def scale(self, size: int) -> float:
        """One."""
        return 1.0

    def largest_half_width(self, size: int) -> float:
        """Four standard deviations."""
        return FAR

    def record(self) -> dict[str, Any]:
        """Its name."""
        return {"prior": "normal"}
