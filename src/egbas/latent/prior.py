# SPDX-License-Identifier: MIT
"""The contract of a prior, the distribution that latents are drawn from, and what others ask of one."""

import math
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from egbas.errors import ConfigError

FAR = 4.0  # standard deviations; hardly any coordinate of a Gaussian lies farther out


@runtime_checkable
class Prior(Protocol):
    """A distribution of flat latents.

    A prior may also have ``log_density(z)``, (n, d) to (n,), with respect to the coordinates that vary; None where
    there is none; and ``description``, a few words.
    """

    def sample(self, n: int, size: int, rng: torch.Generator) -> Tensor:
        """Draw n latents (n, size), float32, on the CPU; the same state of ``rng`` gives the same ones."""
        ...

    def contains(self, z: Tensor) -> Tensor:
        """Say which latents (n, d) lie in the support: bool (n,)."""
        ...

    def scale(self, size: int) -> float:
        """Standard deviation of one coordinate of ``size``, in latent units; root mean square where they differ."""
        ...

    def largest_half_width(self, size: int) -> float:
        """Half-width of a box around any latent of the prior that holds nearly every other, in latent units."""
        ...

    def record(self) -> dict[str, Any]:
        """What to write down, fit for JSON; its ``prior`` is the prior's name."""
        ...


def log_density_of(prior: object, z: Tensor) -> Tensor | None:
    """What a prior, or a latent space, says of the density at latents (n, d); None where it says nothing."""
    log_density = getattr(prior, "log_density", None)
    return None if log_density is None else log_density(z)


def description_of(prior: object) -> str:
    """A prior, or a latent space, in a few words: its own, or the name of its class."""
    return str(getattr(prior, "description", type(prior).__name__))


def check_size(prior: Prior, size: int) -> None:
    """Refuse a prior of another number of coordinates.

    Raises:
        ConfigError: it is one.
    """
    expected = getattr(prior, "size", None)
    if expected is not None and expected != size:
        raise ConfigError(f"the prior ({description_of(prior)}) is one of {expected} coordinates; got {size} of them")


def check_positive(value: float, name: str) -> None:
    """Refuse a setting that is no positive number.

    Raises:
        ConfigError: it is none.
    """
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"latent {name} {value} is not a positive number")
