# SPDX-License-Identifier: MIT
"""Coordinates that never vary, such as the class of a conditional generator."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.machine.settings import settles


@dataclass(frozen=True)
class Frozen:
    """Coordinates that never vary: one fixed latent, a block of a ``Product``.

    Attributes:
        values: (size,) of the coordinates.
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the values."""
        object.__setattr__(self, "values", tuple(float(value) for value in self.values))
        if not self.values or not all(map(math.isfinite, self.values)):
            raise ConfigError(f"frozen coordinates {self.values} are not a list of finite numbers")

    @property
    def size(self) -> int:
        """How many coordinates there are."""
        return len(self.values)

    @property
    def description(self) -> str:
        """That they are frozen."""
        return "frozen"

    @settles
    def sample(self, n: int, size: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """The same latent n times; nothing is drawn."""
        return torch.tensor(self.values, dtype=torch.float32).repeat(n, 1)

    @settles
    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Those that are it, in their precision."""
        return (z == torch.tensor(self.values, dtype=torch.float64).to(z)).all(dim=1)

    def log_density(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """No coordinate varies: 0, or -inf for other latents."""
        return z.new_zeros(len(z), dtype=torch.float64).masked_fill(~self.contains(z), -math.inf)

    def scale(self, size: int) -> float:
        """Zero."""
        return 0.0

    def largest_half_width(self, size: int) -> float:
        """Zero."""
        return 0.0

    def record(self) -> dict[str, Any]:
        """Its name and values."""
        return {"prior": "frozen", "values": list(self.values)}
