# SPDX-License-Identifier: MIT
"""The settings of GB-RRT."""

import math
from dataclasses import dataclass

from egbas.errors import ConfigError

_MOST_ITERATIONS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class GbRrtConfig:
    """Settings of GB-RRT.

    Attributes:
        iterations: N, candidates to try. 1 to 10,000,000.
        step_size: delta, length of every edge, in latent units; None: ``with_automatic``. > 0.
        half_width: I, the targets are uniform in z0 - I .. z0 + I, in latent units; None: ``with_automatic``. > 0.
        window: targets that share a forward pass; None: adapted to the acceptance. The tree does not depend on it.
    """

    iterations: int = 2000
    step_size: float | None = None
    half_width: float | None = None
    window: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.iterations <= _MOST_ITERATIONS:
            raise ConfigError(f"GB-RRT's iterations is {self.iterations}; it must be from 1 to {_MOST_ITERATIONS:,}")
        for name in ("step_size", "half_width"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"GB-RRT's {name} is {value}; it must be a positive number, or None for automatic")
        if self.window is not None and self.window < 1:
            raise ConfigError(f"GB-RRT's window is {self.window}; it must be at least 1, or None for automatic")
