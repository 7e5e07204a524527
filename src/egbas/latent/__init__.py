# SPDX-License-Identifier: MIT
"""Latent spaces Z: the prior that queries come from, its support, and the shape that the generator takes.

A prior is whatever keeps the contract ``Prior``; here are the normal and the uniform one, a sphere, products with
frozen coordinates, and the Gaussian of a bank of latents.
"""

from egbas.latent.empirical import Empirical
from egbas.latent.frozen import Frozen
from egbas.latent.normal import Normal
from egbas.latent.prior import Prior
from egbas.latent.product import Product
from egbas.latent.space import GeometryName, LatentSpace, LatentSpaceLike
from egbas.latent.sphere import Sphere
from egbas.latent.uniform import Uniform

__all__ = [
    "Empirical",
    "Frozen",
    "GeometryName",
    "LatentSpace",
    "LatentSpaceLike",
    "Normal",
    "Prior",
    "Product",
    "Sphere",
    "Uniform",
]
