# SPDX-License-Identifier: MIT
"""Polar angles of points uniform in a cap of a sphere: density proportional to sin^(d-2), in any dimension."""

import functools
import math

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

_N_INTERVALS = 2**14  # the distribution function is then right to 1e-5, up to 512 dimensions
_NEGLIGIBLE = 1e-18  # share of the cap that is left out at the pole


def polar_angles(uniform: Float[Tensor, " n"], *, d: int, largest: float) -> Float[Tensor, " n"]:
    """Invert the distribution of the angle between the cap's middle and a point uniform in the cap.

    Args:
        uniform: numbers in 0..1.
        d: dimensions of the space that the sphere lies in, at least 2.
        largest: angular radius of the cap, in radians, above 0 and at most pi.

    Returns:
        Angles from 0 to ``largest``, rising with ``uniform``.
    """
    shares, angles = _distribution(d, largest)
    return torch.from_numpy(np.interp(uniform.cpu().double().numpy(), shares, angles))


@functools.lru_cache(maxsize=8)
def _distribution(d: int, largest: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distribution function at angles close together, over the range that holds the cap's volume.

    The densities are taken relative to the largest one: in 512 dimensions sin^510 itself is no floating-point
    number. The share of the cap below an angle t is at most (sin t / sin min(largest, pi / 2))^(d-1), which says
    where the range may begin, and past the equator, where it may end.
    """
    thin = _NEGLIGIBLE ** (1 / (d - 1))
    first = math.asin(thin * math.sin(min(largest, math.pi / 2)))
    last = min(largest, math.pi - math.asin(thin))
    angles = np.linspace(first, last, _N_INTERVALS + 1)
    log_density = (d - 2) * np.log(np.sin(angles))
    density = np.exp(log_density - log_density.max())
    shares = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return shares / shares[-1], angles
