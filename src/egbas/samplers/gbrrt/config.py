# SPDX-License-Identifier: MIT
"""The settings of GB-RRT."""

from dataclasses import dataclass

from egbas.errors import ConfigError

_MOST_ITERATIONS, _MOST_AT_ONCE = 10_000_000, 1_000_000
_LONGEST = 1e9  # latent units: squares of more leave float32


@dataclass(frozen=True, kw_only=True)
class GbRrtConfig:
    """Settings of GB-RRT.

    Attributes:
        iterations: N, candidates to try. 1 to 10,000,000.
        step_size: delta, length of every edge, in latent units; None: ``with_automatic``. > 0, 1e9 at most.
        half_width: I, the targets are uniform in z0 - I .. z0 + I, in latent units; None: ``with_automatic``. > 0, 1e9
            at most.
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
            if value is not None and not 0 < value <= _LONGEST:
                raise ConfigError(
                    f"GB-RRT's {name} is {value}; it must be above 0 and at most {_LONGEST:g}, or None for automatic"
                )
        if self.window is not None and not 1 <= self.window <= _MOST_AT_ONCE:
            raise ConfigError(
                f"GB-RRT's window is {self.window}; it must be from 1 to {_MOST_AT_ONCE:,}, or None for automatic"
            )
