# SPDX-License-Identifier: MIT
"""Where latents live: the flat space of the paper, or the sphere of a generator that ignores a latent's length."""

from egbas.geometry.flat import Flat
from egbas.geometry.geometry import Geometry, geometry_around
from egbas.geometry.invariance import GEOMETRIES, choose_geometry, is_scale_invariant
from egbas.geometry.sphere import Sphere

__all__ = [
    "GEOMETRIES",
    "Flat",
    "Geometry",
    "Sphere",
    "choose_geometry",
    "geometry_around",
    "is_scale_invariant",
]
