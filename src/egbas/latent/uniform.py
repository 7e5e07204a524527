# SPDX-License-Identifier: MIT
"""The uniform prior on a box."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.latent.prior import check_positive
from egbas.machine.settings import settles


@dataclass(frozen=True)
class Uniform:
    """U(-bound, bound) in every coordinate.

    Attributes:
        bound: half the width of the support, in latent units. > 0.
    """

    bound: float = 1.0

    def __post_init__(self) -> None:
        """Check the bound."""
        check_positive(self.bound, "bound")

    @property
    def description(self) -> str:
        """With its support."""
        return f"uniform on -{self.bound:g}..{self.bound:g}"

    @settles
    def sample(self, n: int, size: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Draw latents."""
        return self.bound * (2 * torch.rand(n, size, generator=rng, dtype=torch.float32) - 1)

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Those with every coordinate within the bound."""
        return (z.abs() <= self.bound).all(dim=1)

    def log_density(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Its logarithm, in float64; -inf outside the support."""
        inside = z.new_full((len(z),), -z.shape[1] * math.log(2 * self.bound), dtype=torch.float64)
        return inside.masked_fill(~self.contains(z), -math.inf)

    def scale(self, size: int) -> float:
        """That of a uniform number, bound / sqrt(3)."""
        return self.bound / math.sqrt(3)

    def largest_half_width(self, size: int) -> float:
        """The width of the support."""
        return 2 * self.bound

    def record(self) -> dict[str, Any]:
        """Its name and bound."""
        return {"prior": "uniform", "bound": self.bound}
