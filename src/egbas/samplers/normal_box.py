# SPDX-License-Identifier: MIT
"""A box in coordinates in which its uniform distribution is N(0, I): z = low + (high - low) Phi(u) (Rosenblatt 1952).

In many dimensions a straight flight in a box meets its sides all the time: with 784 pixels every step has some outside.
In the coordinates u there are no sides, and what moves N(0, I) moves the uniform distribution. The map is smooth and
one to one, so that draws of N(0, I) restricted to the region of u are draws of the uniform distribution restricted to
the region of z.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.region import Region
from egbas.region.constraints import Constraints, Pull
from egbas.samplers.kernel import Kernel
from egbas.samplers.target import UniformBox

_EDGE = 1e-15  # of the box, nearer than which a latent is moved off a side
_TYPICAL = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)  # largest |u| that a warm-up begins with, the first that is inside


_WIDE = 128  # coordinates, from which on these are taken; with fewer, flights between the sides do well


def is_wide(target: Any) -> TypeGuard[UniformBox]:
    """Whether a target is a box of so many dimensions that its sides would be met all the time."""
    return isinstance(target, UniformBox) and target.d >= _WIDE


@dataclass(frozen=True, eq=False)
class NormalBox:
    """The coordinates.

    Attributes:
        box: whose uniform distribution becomes N(0, I).
    """

    box: UniformBox

    def into(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The coordinates u, float64, of latents."""
        low, width = self._sides(z)
        return torch.special.ndtri(((z.double() - low) / width).clamp(_EDGE, 1 - _EDGE))

    def out(self, u: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The latents, float64, of coordinates u."""
        low, width = self._sides(u)
        return low + width * torch.special.ndtr(u.double())

    def slope(self, u: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """By how much a latent moves with each of its coordinates u."""
        return self._sides(u)[1] * torch.exp(-u.double().square() / 2) / math.sqrt(2 * math.pi)

    def _sides(self, like: Tensor) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
        low, high = (side.to(like.device, torch.float64) for side in (self.box.low, self.box.high))
        return low, high - low


@dataclass(frozen=True, eq=False)
class NormalRegion:
    """A region in the coordinates u.

    Attributes:
        region: of latents.
        coordinates: of these.
    """

    region: Region
    coordinates: NormalBox

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Say which latents lie in it, by their coordinates."""
        return self.region.contains(self.coordinates.out(z))


@dataclass(frozen=True, eq=False)
class NormalConstraints:
    """Constraints in the coordinates u.

    Attributes:
        constraints: of latents.
        coordinates: of these.
    """

    constraints: Constraints
    coordinates: NormalBox

    def margins(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Compute the scaled margins of latents, by their coordinates."""
        return self.constraints.margins(self.coordinates.out(z).float())

    def vjp(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n k"], Pull]:
        """Compute the scaled margins, and what pulls a vector back to the coordinates; see ``Constraints``."""
        margins, pull = self.constraints.vjp(self.coordinates.out(z).float())
        slope = self.coordinates.slope(z).to(margins)
        return margins, lambda v: pull(v).to(margins) * slope


class NormalKernel:
    """A kernel of N(0, I) in the coordinates u, as one of the uniform distribution of latents."""

    def __init__(self, inner: Kernel, region: NormalRegion) -> None:
        """Take a kernel of the region in the coordinates."""
        self._inner, self._region = inner, region

    @property
    def evaluations(self) -> int:
        """Latents whose membership was asked, so far."""
        return self._inner.evaluations

    def adapt(self, z: Float[Tensor, "chains d"], rng: np.random.Generator) -> Float[Tensor, "chains d"]:
        """Warm up from states that lie inside; those at the sides are first moved away from them, where that may be."""
        u = self._region.coordinates.into(z)
        for most in _TYPICAL:
            nearer = u.clamp(-most, most)
            far = (u.abs().amax(dim=1) > most) & self._region.contains(nearer).to(u.device)
            u = torch.where(far[:, None], nearer, u)
        return self._out(self._inner.adapt(u, rng))

    def draw(self, z: Float[Tensor, "chains d"], n: int, rng: np.random.Generator) -> Float[Tensor, "chains n d"]:
        """The n states after z, in order."""
        return self._out(self._inner.draw(self._region.coordinates.into(z), n, rng))

    def _out(self, u: Tensor) -> Tensor:
        return self._region.coordinates.out(u.flatten(0, -2)).reshape(u.shape)
