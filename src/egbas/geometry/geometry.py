# SPDX-License-Identifier: MIT
"""What the tree and the baselines ask of the space that they live in; one algorithm serves all spaces."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.geometry.flat import Flat
from egbas.geometry.sphere import Sphere
from egbas.latent import LatentSpaceLike


@runtime_checkable
class Geometry(Protocol):
    """A space of latents around a query.

    Two latents have a *distance* in the space, and a straight *chord*, which grows with it. The nearest node by
    chord is therefore the nearest by distance, and chords are all that the tree compares.
    """

    @property
    def description(self) -> str:
        """What it is, in a few words."""
        ...

    @property
    def radius(self) -> float:
        """Of the sphere, in latent units; 0 where the space is flat."""
        ...

    @property
    def dimensions(self) -> int:
        """How many coordinates a point of the space has."""
        ...

    @property
    def largest_step(self) -> float:
        """The largest step, in latent units, for which the space has room for many nodes."""
        ...

    def limit(self, length: float) -> float:
        """The length, or the largest distance that there is if that is smaller, in latent units."""
        ...

    def far(self, half_width: float) -> float:
        """How far from the query the targets of that half-width typically lie, or farther."""
        ...

    def half_width(self, extent: float) -> float:
        """The half-width whose targets typically lie sqrt(d / 3) times as far as that distance, or farther."""
        ...

    def reach(self, half_width: float) -> float:
        """How far from the query the tested latents lie in one coordinate, typically."""
        ...

    def rounding(self, half_width: float, dtype: torch.dtype) -> float:
        """Rounding error of one coordinate of a node, in latent units."""
        ...

    def chord(self, length: float) -> float:
        """The straight distance between two latents at that distance."""
        ...

    def distances(self, a: Float[Tensor, "#n d"], b: Float[Tensor, "#n d"]) -> Float[Tensor, " n"]:
        """Distances between the rows of one and the rows of the other, in latent units."""
        ...

    def step(
        self,
        origins: Float[Tensor, "n d"],
        targets: Float[Tensor, "n d"],
        chords: Float[Tensor, " n"],
        length: float,
    ) -> Float[Tensor, "n d"]:
        """Go that length from each origin straight towards its target; stay where the target gives no direction.

        ``chords`` are those between origins and targets.
        """
        ...

    def targets(self, n: int, half_width: float, *, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Draw targets, uniform in the space around the query up to the half-width."""
        ...

    def directions(self, vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Unit vectors along which one can leave the query; uniform for standard normal ``vectors``."""
        ...

    def around(self, offsets: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """The latents that straight lines from the query reach: along each offset, as far as it is long."""
        ...

    def offsets(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """How far and which way straight lines lead from the query to latents; ``around`` gives these back."""
        ...

    def embed(self, coordinates: Float[Tensor, "n m"]) -> Float[Tensor, "n d"]:
        """Offsets from the query with these coordinates, m = ``dimensions``; lengths and angles stay."""
        ...

    def ball_radii(self, uniform: Float[Tensor, " n"], radius: float) -> Float[Tensor, " n"]:
        """Distances from the query of points uniform in the ball of that radius, from uniform numbers in 0..1."""
        ...

    def mean(self, points: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
        """The mean of points, in the space."""
        ...


def geometry_around(latent: LatentSpaceLike, query: Float[Tensor, " d"]) -> Geometry:
    """The geometry that a latent space has around a query.

    Raises:
        ConfigError: the space is a sphere, and the query is zero.
    """
    return Sphere(query) if latent.geometry == "sphere" else Flat(query)
