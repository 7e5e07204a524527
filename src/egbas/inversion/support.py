# SPDX-License-Identifier: MIT
"""Coordinates without bounds for the latents of a support, so that a descent in them never leaves it.

In: a latent space. Out: a map from free coordinates (n, d) to latents in the support, and back.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.latent import Empirical, Frozen, LatentSpace, Normal, Prior, Product, Sphere, Uniform

_SIGMAS = 4.0  # of the length of normal latents, beyond which a draw is no explanation

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Free coordinates of a support.

    Attributes:
        latents: maps coordinates (n, d) to latents (n, d) in the support, with gradients.
        of: the coordinates of latents (n, d) that lie in the support.
    """

    latents: Map
    of: Map


def coordinates_of(latent: LatentSpace) -> Coordinates:
    """Free coordinates of the support of a latent space.

    Normal latents are kept within four deviations of their typical length: farther out a generator was not trained.
    Where it ignores their length they lie on the sphere of radius sqrt(d). A prior of the user's own has no known
    coordinates: latents are their own, and whoever descends has to ask ``contains``.
    """
    return _of_prior(latent.prior, latent.size, on_sphere=latent.geometry == "sphere")


def _of_prior(prior: Prior, size: int, *, on_sphere: bool = False) -> Coordinates:  # noqa: PLR0911  one for each
    match prior:
        case Sphere() | Normal() if on_sphere or isinstance(prior, Sphere):
            radius = math.sqrt(size) * prior.scale(size)
            return Coordinates(lambda u: radius * torch.nn.functional.normalize(u), torch.clone)
        case Normal():
            return _within_length(size)
        case Uniform():
            # Not clamped: a coordinate at the bound would have no gradient.
            return Coordinates(
                lambda u: prior.bound * u.sin(), lambda z: (z / prior.bound).clamp(-1, 1).mul(1 - 1e-6).asin()
            )
        case Empirical():
            white = _within_length(size)
            return Coordinates(
                lambda u: prior.unwhiten(white.latents(u)).to(u), lambda z: white.of(prior.whiten(z).to(z))
            )
        case Frozen():
            values = torch.tensor(prior.values, dtype=torch.float64)
            return Coordinates(lambda u: values.to(u).expand_as(u), torch.clone)
        case Product():
            sizes = [part for part, _ in prior.parts]
            parts = [_of_prior(one, part) for part, one in prior.parts]
            return Coordinates(
                lambda u: _blockwise([part.latents for part in parts], u, sizes),
                lambda z: _blockwise([part.of for part in parts], z, sizes),
            )
        case _:
            return Coordinates(torch.clone, torch.clone)


def _blockwise(maps: list[Map], values: Float[Tensor, "n d"], sizes: list[int]) -> Float[Tensor, "n d"]:
    blocks = zip(maps, values.split(sizes, dim=1), strict=True)
    return torch.cat([each(block) for each, block in blocks], dim=1)


def _within_length(size: int) -> Coordinates:
    """Latents no longer than a normal one ever is."""
    mean, sigma = Normal.length(size)
    longest = mean + _SIGMAS * sigma

    def latents(u: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return u * (longest / u.norm(dim=1, keepdim=True).clamp(min=longest))

    return Coordinates(latents, torch.clone)
