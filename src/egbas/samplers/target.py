# SPDX-License-Identifier: MIT
"""The distributions that samplers restrict to a region.

In: a latent space and a query. Out: N(0, I), the uniform distribution in a box or on a sphere, or any density.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.errors import ConfigError, ShapeError
from egbas.latent import Frozen, LatentSpace, Normal, Product, Sphere, Uniform


@dataclass(frozen=True)
class Gaussian:
    """N(0, I).

    Attributes:
        d: coordinates of a latent.
    """

    d: int

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Say which latents lie in the support: all."""
        return torch.ones(len(z), dtype=torch.bool, device=z.device)


@dataclass(frozen=True, eq=False)
class UniformBox:
    """The uniform distribution in a box.

    Attributes:
        low: smallest value of each coordinate, in latent units.
        high: largest value of each coordinate, above ``low``.
    """

    low: Float[Tensor, " d"]
    high: Float[Tensor, " d"]

    def __post_init__(self) -> None:
        """Check that the box has room."""
        width = self.high - self.low
        if not bool(((width > 0) & torch.isfinite(width)).all()):
            raise ConfigError("a box needs finite low < high in every coordinate; widen it")

    @classmethod
    def around(cls, centre: Float[Tensor, " d"], half_width: float | Float[Tensor, " d"]) -> "UniformBox":
        """The box |z - centre| <= half_width."""
        centre = centre.double()
        return cls(centre - half_width, centre + half_width)

    @property
    def d(self) -> int:
        """Coordinates of a latent."""
        return self.low.numel()

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Say which latents lie in the box."""
        return ((z >= self.low.to(z)) & (z <= self.high.to(z))).all(dim=1)

    def within(self, other: "UniformBox") -> "UniformBox":
        """What two boxes have in common."""
        return UniformBox(torch.maximum(self.low, other.low), torch.minimum(self.high, other.high))


@dataclass(frozen=True)
class UniformSphere:
    """The uniform distribution on a sphere around the origin; the states of its kernels lie on it up to rounding.

    Attributes:
        d: coordinates of a latent, at least 2.
        radius: in latent units.
    """

    d: int
    radius: float

    def __post_init__(self) -> None:
        """Check that there is a sphere."""
        if self.d < 2 or not self.radius > 0:
            raise ConfigError(
                f"got a sphere of radius {self.radius} in {self.d} dimensions; expected > 0 and at least 2"
            )

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Say which latents lie in the support, up to rounding."""
        return Sphere(self.radius).contains(z)


@dataclass(frozen=True)
class Density:
    """Any distribution with a density.

    Attributes:
        log_density: maps latents (n, d) to the logarithm of the density (n,), up to a constant; -inf where it is 0.
        d: coordinates of a latent.
    """

    log_density: Callable[[Tensor], Tensor]
    d: int

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Say which latents have a density above 0."""
        return self.log_density(z) > -torch.inf


Target = Gaussian | UniformBox | UniformSphere | Density


def prior_target(latent: LatentSpace, query: Float[Tensor, " d"]) -> Target:
    """The prior of a latent space; with geometry ``"sphere"``, that of directions, at the query's length.

    Raises:
        ConfigError: the latent space has no density on all of its coordinates.
    """
    prior = getattr(latent, "prior", None)
    if isinstance(prior, Normal):
        return _on_sphere(query) if latent.geometry == "sphere" else Gaussian(latent.size)
    if isinstance(prior, Uniform):  # also on a sphere: directions of a cube's points are not uniform
        return _support(prior, latent.size)
    if isinstance(prior, Sphere):
        return UniformSphere(latent.size, prior.scale(latent.size) * math.sqrt(latent.size))
    if isinstance(prior, Product) and any(isinstance(part, Frozen) for _, part in prior.parts):
        raise ConfigError(
            "the latent space has frozen coordinates, in which exact samples are not to be had yet; take the tree: "
            "samplers=['tree']"
        )
    log_density = getattr(latent, "log_density", None)
    if log_density is None or log_density(query[None].double()) is None:
        raise ConfigError(
            "the latent space has no log_density, so that its prior cannot be restricted to a region; take the tree: "
            "samplers=['tree']"
        )
    return Density(log_density, latent.size)


def uniform_target(latent: LatentSpace, query: Float[Tensor, " d"], half_width: float | None) -> Target:
    """The uniform distribution around a query: in a box within the prior's support, or on the sphere.

    Args:
        latent: the latent space.
        query: z0.
        half_width: of the box, in latent units; None: the largest that the latent space has. Unused on a sphere.
    """
    prior = getattr(latent, "prior", None)
    if latent.geometry == "sphere" or isinstance(prior, Sphere):
        return _on_sphere(query)
    box = UniformBox.around(query.cpu(), latent.largest_half_width if half_width is None else half_width)
    return box.within(_support(prior, latent.size)) if isinstance(prior, Uniform) else box


def _support(prior: Uniform, size: int) -> UniformBox:
    return UniformBox.around(torch.zeros(size, dtype=torch.float64), prior.bound)


def _on_sphere(query: Float[Tensor, " d"]) -> UniformSphere:
    radius = query.double().norm().item()
    if not radius > 0:
        raise ShapeError("the query is zero, so that no sphere goes through it; pass another, or geometry flat")
    return UniformSphere(query.numel(), radius)
