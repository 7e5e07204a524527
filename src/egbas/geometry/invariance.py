# SPDX-License-Identifier: MIT
"""Which geometry a generator's latents have: a generator with G(3z) = G(z) has them on a sphere."""

from dataclasses import replace

import torch

from egbas.errors import ConfigError, NetworkError
from egbas.latent import LatentSpace, LatentSpaceLike
from egbas.network import Network

GEOMETRIES = ("auto", "flat", "sphere")

_N_LATENTS = 2
_FACTORS = (3.0, 1 / 3)
_TOLERANCE = 1e-3  # of how much images differ; pixel norm's own 1e-8 under the root changes them by some 1e-7


def choose_geometry(latent: LatentSpaceLike, network: Network, wanted: str = "auto") -> LatentSpace:
    """Settle the geometry of a latent space.

    Args:
        latent: the space; its own geometry says what it is known to be.
        network: the generator.
        wanted: ``"flat"`` or ``"sphere"``, or ``"auto"``: a sphere where the space says so or the generator
            ignores the length of its latent, else flat.

    Raises:
        ConfigError: there is no such geometry.
    """
    if wanted not in GEOMETRIES:
        raise ConfigError(f"geometry {wanted!r} is unknown; expected one of {', '.join(GEOMETRIES)}")
    if wanted == "auto":
        wanted = "sphere" if latent.geometry == "sphere" or is_scale_invariant(network, latent) else "flat"
    space = LatentSpace.of(latent)
    return space if wanted == space.geometry else replace(space, geometry=wanted)


def is_scale_invariant(network: Network, latent: LatentSpaceLike) -> bool:
    """Test whether G(3z) = G(z) = G(z / 3), on two latents of the prior that are the same in every run.

    Equal means that no pixel differs by more than a thousandth of what the images of the two latents differ by
    at most, or the square root of the network's precision, if that is more.
    """
    if latent.size < 2:
        return False  # the sphere of one coordinate is two points
    z = latent.sample(_N_LATENTS, rng=torch.Generator().manual_seed(0))
    images = network.generate(z)
    tolerance = max(_TOLERANCE, torch.finfo(images.dtype).eps ** 0.5) * (images[0] - images[1]).abs().max()
    # Not <=: a generator whose images do not differ at all says nothing.
    return all(bool((_scaled(network, factor * z) - images).abs().max() < tolerance) for factor in _FACTORS)


def _scaled(network: Network, z: torch.Tensor) -> torch.Tensor:
    try:
        return network.generate(z)
    except NetworkError:  # it overflows outside its prior: then the length matters
        return torch.full((), torch.inf, device=network.device, dtype=torch.float32)
