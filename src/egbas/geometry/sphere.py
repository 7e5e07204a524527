# SPDX-License-Identifier: MIT
"""The sphere through the query around the origin, for generators that ignore the length of their latent.

Deviation from paper: there is no sphere in it. Distances are geodesic, the lengths of great-circle arcs in latent
units, and everything follows from them: steps and rays are arcs, the box of targets and the L2 ball are caps.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from egbas.errors import ConfigError
from egbas.geometry.polar import polar_angles
from egbas.geometry.step import advance_all


@dataclass(frozen=True, eq=False)
class Sphere:
    """The sphere of radius R = ||z0|| in R^d; its methods are those of ``Geometry``.

    Attributes:
        query: z0.

    Raises:
        ConfigError: the query is zero or has a single coordinate.
    """

    query: Float[Tensor, " d"]

    def __post_init__(self) -> None:
        """Check that there is a sphere."""
        if self.query.numel() < 2:
            raise ConfigError("a sphere needs latents of at least 2 coordinates, and this one has 1; use geometry flat")
        if not self.radius > 0:
            raise ConfigError("the query is zero, so that no sphere goes through it; pass another, or geometry flat")

    @property
    def radius(self) -> float:
        """R, in latent units."""
        return self._radius

    @cached_property
    def _radius(self) -> float:
        return self.query.cpu().double().norm().item()

    @property
    def description(self) -> str:
        """Such as ``sphere of radius 22.6``."""
        return f"sphere of radius {self.radius:.4g}"

    @property
    def dimensions(self) -> int:
        """d - 1: there is no way to leave the sphere."""
        return self.query.numel() - 1

    @property
    def largest_step(self) -> float:
        """pi R / 4, an eighth of the way around: of nodes a quarter apart there are no more than 2 d."""
        return math.pi / 4 * self.radius

    def limit(self, length: float) -> float:
        """At most pi R, the distance of the antipode."""
        return min(length, math.pi * self.radius)

    def far(self, half_width: float) -> float:
        """The cap's own radius: in many dimensions most targets lie close to its rim."""
        return self.limit(half_width)

    def half_width(self, extent: float) -> float:
        """Radius of the cap whose rim is that far away: without that, in many dimensions, all nodes hang on the query.

        A target at distance t leaves the query for a node at distance delta only if the cosine between them exceeds
        about delta / 2 t, and cosines are of the order 1 / sqrt(d).
        """
        return self.limit(extent * max(1.0, math.sqrt(self.dimensions / 3)))

    def reach(self, half_width: float) -> float:
        """2 R / sqrt(d), whatever the half-width: then the corners of the box are as far away as the antipode."""
        return 2 * self.radius / math.sqrt(self.query.numel())

    def rounding(self, half_width: float, dtype: torch.dtype) -> float:
        """That of the radius: no coordinate is larger."""
        return torch.finfo(dtype).eps * self.radius

    def chord(self, length: float) -> float:
        """2 R sin(length / 2 R)."""
        return 2 * self.radius * math.sin(self.limit(length) / (2 * self.radius))

    def distances(self, a: Float[Tensor, "#n d"], b: Float[Tensor, "#n d"]) -> Float[Tensor, " n"]:
        """Lengths of arcs: twice the half angle, whose tangent is ||a - b|| / ||a + b||; exact near and far."""
        return 2 * self.radius * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))

    def step(
        self,
        origins: Float[Tensor, "n d"],
        targets: Float[Tensor, "n d"],
        chords: Float[Tensor, " n"],
        length: float,
    ) -> Float[Tensor, "n d"]:
        """Go along the great circle; the length of the step does not hang on how exactly its direction is known."""
        return advance_all(origins, targets, chords, length, self.radius)

    def targets(self, n: int, half_width: float, *, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Uniform in the cap of geodesic radius I around the query; the whole sphere from pi R on."""
        radii = self.ball_radii(torch.rand(n, generator=rng, dtype=torch.float64), half_width)
        vectors = torch.randn(n, self.query.numel(), generator=rng, dtype=torch.float64)
        return self.around(radii[:, None] * self.directions(vectors))

    def directions(self, vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The vectors' components tangent to the sphere, at length 1."""
        return normalize(_tangent(vectors, self._pole(vectors)))

    def around(self, offsets: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """The exponential map: from the query along tangent offsets."""
        angles = offsets.norm(dim=-1, keepdim=True) / self.radius
        sines = offsets * torch.sinc(angles / math.pi)  # offset / angle * sin(angle), and 0 for no offset
        return self._on_sphere(torch.cos(angles) * self.query.to(offsets) + sines).to(self.query)

    def offsets(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The logarithmic map, of the points where latents meet the sphere."""
        on_it = self._on_sphere(points)
        return self.directions(on_it) * self.distances(self.query[None], on_it)[:, None]

    def embed(self, coordinates: Float[Tensor, "n m"]) -> Float[Tensor, "n d"]:
        """Tangent vectors: the first d - 1 axes, reflected so that the last axis comes to lie along the query."""
        last = torch.zeros_like(self._pole(coordinates))
        last[-1] = 1.0
        pole = self._pole(coordinates)
        mirror = pole + last.copysign(pole[-1])  # of the two mirrors the one that nothing cancels in
        vectors = torch.cat([coordinates, torch.zeros_like(coordinates[:, :1])], dim=1)
        return vectors - 2 * (vectors @ mirror)[:, None] * mirror / mirror.square().sum()

    def ball_radii(self, uniform: Float[Tensor, " n"], radius: float) -> Float[Tensor, " n"]:
        """R times polar angles with density sin^(d-2), up to the cap's."""
        largest = self.limit(radius) / self.radius
        return self.radius * polar_angles(uniform, d=self.query.numel(), largest=largest)

    def mean(self, points: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
        """The point of the sphere nearest to the arithmetic mean: least sum of squared chords to the points."""
        return self._on_sphere(points.mean(dim=0))

    def _pole(self, like: Tensor) -> Float[Tensor, " d"]:
        """Unit vector towards the query."""
        return self.query.to(like) / self.radius

    def _on_sphere(self, points: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Points at the length R: without it every step would add its rounding, and the tree would drift away."""
        return points * (self.radius / points.norm(dim=-1, keepdim=True))


def _tangent(vectors: Float[Tensor, "n d"], normals: Float[Tensor, "*n d"]) -> Float[Tensor, "n d"]:
    """The components of vectors perpendicular to unit normals; twice, so that cancellation leaves no normal one."""
    for _ in range(2):
        vectors = vectors - (vectors * normals).sum(dim=1, keepdim=True) * normals
    return vectors
