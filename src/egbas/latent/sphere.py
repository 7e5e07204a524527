# SPDX-License-Identifier: MIT
"""The uniform prior on a sphere."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.latent.prior import check_positive
from egbas.machine.settings import settles

_ON_SPHERE = 1e-4  # relative; more than the rounding of float32 in any dimension


@dataclass(frozen=True)
class Sphere:
    """Uniform on a sphere around the origin. It has no density: its support has no volume.

    Attributes:
        radius: in latent units; None: sqrt(d), about the length of latents of N(0, 1). > 0.
    """

    radius: float | None = None

    def __post_init__(self) -> None:
        """Check the radius."""
        if self.radius is not None:
            check_positive(self.radius, "radius")

    @property
    def description(self) -> str:
        """With its radius."""
        return f"sphere of radius {'sqrt(d)' if self.radius is None else format(self.radius, 'g')}"

    @settles
    def sample(self, n: int, size: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Draw latents."""
        return self._radius(size) * torch.nn.functional.normalize(
            torch.randn(n, size, generator=rng, dtype=torch.float32)
        )

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Those of the radius's length, up to rounding."""
        radius = self._radius(z.shape[1])
        return (z.double().norm(dim=1) - radius).abs() <= _ON_SPHERE * radius

    def scale(self, size: int) -> float:
        """The radius / sqrt(d)."""
        return self._radius(size) / math.sqrt(size)

    def largest_half_width(self, size: int) -> float:
        """The diameter."""
        return 2 * self._radius(size)

    def record(self) -> dict[str, Any]:
        """Its name and radius."""
        return {"prior": "sphere", "radius": self.radius}

    def _radius(self, size: int) -> float:
        return math.sqrt(size) if self.radius is None else self.radius
