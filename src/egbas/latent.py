# SPDX-License-Identifier: MIT
"""Latent spaces Z: the prior that queries come from, its support, and the shape that the generator takes."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from egbas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LatentSpace:
    """Where a generator's inputs come from.

    egbas works on flat latents (n, d); ``shape`` is what the generator is called with.

    Attributes:
        shape: of one latent as the generator takes it, for example ``(64,)`` or ``(512, 1, 1)``.
        prior: ``"normal"`` for N(0, 1) in every coordinate, ``"uniform"`` for U(-bound, bound).
        bound: half the width of the uniform prior's support, in latent units; unused for ``"normal"``.
        geometry: ``"flat"`` for the paper's box around the query, ``"sphere"`` for the sphere through the query:
            right for a generator that ignores the length of its latent. ``egbas.explore`` tests for that.
    """

    shape: tuple[int, ...]
    prior: Literal["normal", "uniform"] = "normal"
    bound: float = 1.0
    geometry: Literal["flat", "sphere"] = "flat"

    def __post_init__(self) -> None:
        """Check the settings."""
        if not self.shape or any(size < 1 for size in self.shape):
            raise ConfigError(f"latent shape {self.shape} is not a list of positive sizes, such as (64,)")
        if self.prior not in ("normal", "uniform"):
            raise ConfigError(f"latent prior {self.prior!r} is unknown; expected 'normal' or 'uniform'")
        if not (self.bound > 0 and math.isfinite(self.bound)):
            raise ConfigError(f"latent bound {self.bound} is not a positive number")
        if self.geometry not in ("flat", "sphere"):
            raise ConfigError(f"latent geometry {self.geometry!r} is unknown; expected 'flat' or 'sphere'")

    @property
    def size(self) -> int:
        """d, the number of coordinates."""
        return math.prod(self.shape)

    @property
    def scale(self) -> float:
        """Standard deviation of one coordinate under the prior, in latent units."""
        return 1.0 if self.prior == "normal" else self.bound / math.sqrt(3)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw n flat latents (n, d) from the prior, float32, on the CPU."""
        if self.prior == "normal":
            return torch.randn(n, self.size, generator=rng)
        return self.bound * (2 * torch.rand(n, self.size, generator=rng) - 1)

    def contains(self, z: Tensor) -> Tensor:
        """Say which latents (n, d) lie in the prior's support: bool (n,), all True for the normal prior."""
        if self.prior == "normal":
            return torch.ones(len(z), dtype=torch.bool, device=z.device)
        return (z.abs() <= self.bound).all(dim=1)

    @property
    def largest_half_width(self) -> float:
        """Bound on the automatic half-width I of GB-RRT, in latent units.

        Four standard deviations of the normal prior; the width of a bounded support, which holds every other
        latent of the prior whatever the query. None (infinity) on a sphere, all of which the prior reaches.
        """
        if self.geometry == "sphere":
            return math.inf
        return 4.0 if self.prior == "normal" else 2 * self.bound
