# SPDX-License-Identifier: MIT
"""The flat space of the paper: straight lines, a box of targets, L2 and L-infinity balls."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.geometry.step import FLAT, advance_all


@dataclass(frozen=True, eq=False)
class Flat:
    """Euclidean space around a query; its methods are those of ``Geometry``.

    Attributes:
        query: z0.
    """

    query: Float[Tensor, " d"]

    @property
    def description(self) -> str:
        """``flat``."""
        return "flat"

    @property
    def radius(self) -> float:
        """There is no sphere."""
        return FLAT

    @property
    def dimensions(self) -> int:
        """All coordinates of a latent."""
        return self.query.numel()

    @property
    def largest_step(self) -> float:
        """Infinite."""
        return math.inf

    def limit(self, length: float) -> float:
        """No distance is too large."""
        return length

    def far(self, half_width: float) -> float:
        """The distance of a typical target in the box, I sqrt(d / 3), and at least I."""
        return half_width * max(1.0, math.sqrt(self.dimensions / 3))

    def half_width(self, extent: float) -> float:
        """The distance itself: a typical target in the box is that much farther away."""
        return extent

    def reach(self, half_width: float) -> float:
        """The box's own half-width."""
        return half_width

    def rounding(self, half_width: float, dtype: torch.dtype) -> float:
        """That of the largest coordinate in the box."""
        return torch.finfo(dtype).eps * (self.query.abs().max().item() + half_width)

    def chord(self, length: float) -> float:
        """The distance itself."""
        return length

    def distances(self, a: Float[Tensor, "#n d"], b: Float[Tensor, "#n d"]) -> Float[Tensor, " n"]:
        """Euclidean distances."""
        return (a - b).norm(dim=1)

    def step(
        self,
        origins: Float[Tensor, "n d"],
        targets: Float[Tensor, "n d"],
        chords: Float[Tensor, " n"],
        length: float,
    ) -> Float[Tensor, "n d"]:
        """q + delta (z - q) / ||z - q|| (Algorithm 2)."""
        return advance_all(origins, targets, chords, length, self.radius)

    def targets(self, n: int, half_width: float, *, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """z_i ~ U(z0 - I, z0 + I) (Algorithm 2)."""
        uniform = torch.rand(n, self.dimensions, generator=rng, dtype=torch.float64)
        return self.query + half_width * (2 * uniform - 1).to(self.query)

    def directions(self, vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The vectors at length 1."""
        return torch.nn.functional.normalize(vectors)

    def around(self, offsets: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """z0 + offset."""
        return (self.query.to(offsets) + offsets).to(self.query)

    def offsets(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """z - z0."""
        return points - self.query.to(points)

    def embed(self, coordinates: Float[Tensor, "n m"]) -> Float[Tensor, "n d"]:
        """The coordinates themselves."""
        return coordinates

    def ball_radii(self, uniform: Float[Tensor, " n"], radius: float) -> Float[Tensor, " n"]:
        """R u^(1/d): P(distance < r) = (r / R)^d."""
        return radius * uniform ** (1 / self.dimensions)

    def mean(self, points: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
        """The arithmetic mean."""
        return points.mean(dim=0)
