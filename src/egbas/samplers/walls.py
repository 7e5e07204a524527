# SPDX-License-Identifier: MIT
"""What a moving state meets: whether it is in the region, and if not the gradient to reflect its momentum by.

In: a region, its constraints, and the target. Membership is the region's own, exact and the same for a latent in any
batch. The gradient is that of the squared violations; it decides how far the chains get, and nothing about the target.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.region import Region
from egbas.region.constraints import AffineConstraints, Constraints, violations
from egbas.region.stem_constraints import StemConstraints
from egbas.samplers.normal_box import NormalBox, NormalConstraints, NormalRegion

Judged = tuple[Bool[Tensor, " n"], Float[Tensor, "outside d"]]


@runtime_checkable
class Walls(Protocol):
    """What a state may meet."""

    def judge(self, z: Float[Tensor, "n d"]) -> Judged:
        """Say which latents are inside, and give the gradients of those that are not, in order."""
        ...


def walls_of(region: Region, constraints: Constraints, target: Any) -> Walls:
    """The walls of a region for a target: Gaussian, or uniform in a box (``low``, ``high``) or sphere (``radius``)."""
    if isinstance(region, NormalRegion) and isinstance(constraints, NormalConstraints):
        return NormalWalls(walls_of(region.region, constraints.constraints, target), region.coordinates)
    is_shared = isinstance(constraints, StemConstraints)
    walls = StemWalls(region, constraints) if is_shared else RegionWalls(region, constraints)
    if hasattr(target, "radius"):
        return SphereWalls(walls, float(target.radius))
    return BoxWalls(walls, target.low, target.high) if hasattr(target, "low") else walls


@dataclass(frozen=True, eq=False)
class RegionWalls:
    """The walls of any region: first membership, then gradients outside.

    Attributes:
        region: that decides.
        constraints: of the same region, or of one like it.
    """

    region: Region
    constraints: Constraints

    def judge(self, z: Float[Tensor, "n d"]) -> Judged:
        """Say which latents are inside, and give the gradients of those that are not."""
        inside = self.region.contains(z)
        return inside, _gradients(self.constraints, z[~inside])


@dataclass(frozen=True, eq=False)
class StemWalls:
    """The walls of a layer with a stem: one pass of it for membership and gradients; in doubt the region decides.

    Attributes:
        region: that decides.
        constraints: of the same region.
    """

    region: Region
    constraints: StemConstraints

    def judge(self, z: Float[Tensor, "n d"]) -> Judged:
        """Say which latents are inside, and give the gradients of those that are not."""
        inside, unclear, gradients = self.constraints.judge(z)
        if not bool(unclear.any()):
            return inside, gradients
        every = torch.zeros(z.shape, dtype=gradients.dtype)
        every[~(inside | unclear)] = gradients
        inside[unclear] = self.region.contains(z[unclear])
        doubtful = unclear & ~inside
        every[doubtful] = _gradients(self.constraints, z[doubtful]).to(every)
        return inside, every[~inside]


@dataclass(frozen=True, eq=False)
class BoxWalls:
    """The walls of a region within a box. The region is not asked outside the box.

    Attributes:
        walls: of the region.
        low: (d,) the box.
        high: (d,).
    """

    walls: Walls
    low: Float[Tensor, " d"]
    high: Float[Tensor, " d"]

    def judge(self, z: Float[Tensor, "n d"]) -> Judged:
        """Say which latents are inside, and give the gradients of those that are not."""
        box = AffineConstraints.of_box(self.low.double(), self.high.double())
        inside = ((z >= self.low) & (z <= self.high)).all(dim=1)
        gradients = _gradients(box, z)
        if not bool(inside.any()):
            return inside, gradients
        within, steepest = self.walls.judge(z[inside])
        gradients[inside.nonzero()[:, 0][~within]] = steepest.to(gradients)
        inside[inside.clone()] = within
        return inside, gradients[~inside]


@dataclass(frozen=True, eq=False)
class NormalWalls:
    """The walls of a region in the coordinates in which its box is N(0, I); the box has none of its own there.

    Attributes:
        walls: of the region, in latents.
        coordinates: of these.
    """

    walls: Walls
    coordinates: NormalBox

    def judge(self, z: Float[Tensor, "n d"]) -> Judged:
        """Say which latents are inside, by their coordinates, and give the gradients of those that are not."""
        inside, gradients = self.walls.judge(self.coordinates.out(z))
        return inside, gradients * self.coordinates.slope(z[~inside]).to(gradients)


@dataclass(frozen=True, eq=False)
class SphereWalls:
    """The walls of the cone over the part of a region that lies on a sphere: latents are judged where they meet it.

    Attributes:
        walls: of the region.
        radius: of the sphere, in latent units.
    """

    walls: Walls
    radius: float

    def judge(self, z: Float[Tensor, "n d"]) -> Judged:
        """Say which latents are inside, and give the gradients along the sphere of those that are not."""
        inside, gradients = self.walls.judge(on_sphere(z, self.radius))
        unit = on_sphere(z[~inside], 1.0).to(gradients)
        return inside, gradients - (gradients * unit).sum(dim=1, keepdim=True) * unit


def on_sphere(z: Float[Tensor, "n d"], radius: float) -> Float[Tensor, "n d"]:
    """The points of a sphere around the origin in the directions of latents."""
    return z * (radius / z.norm(dim=1, keepdim=True))


def _gradients(constraints: Constraints, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Of minus half the sum of squared violations."""
    if not len(z):
        return torch.zeros_like(z)
    margins, pull = constraints.vjp(z)
    return pull(violations(margins))
