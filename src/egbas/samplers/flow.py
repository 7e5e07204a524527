# SPDX-License-Identifier: MIT
"""Motion that leaves the target alone where there are no walls, faster in the directions in which the region is long.

In: an estimate of the target's covariance C = Q diag(e) Q^T. Out: the exact flow of the Gaussian with mass C^-1, which
turns every eigen-plane at its own rate, or for a uniform target straight flights. Both keep volume, the target and the
momentum's N(0, I), and are undone by flipping the momentum: there is no acceptance test.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

Values = NDArray[np.float64]
_SHRUNK = 64.0  # snapshots whose covariances off the diagonal weigh as much as none
_LEAST_WEIGHT = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class Flow:
    """A motion in the coordinates y = Q^T z.

    Attributes:
        basis: Q (d, d), orthonormal columns.
        rates: w (d,), radians, or latent units, that a coordinate moves in a unit of time.
        is_curved: the target is Gaussian; else it is uniform.
    """

    basis: Float[Values, "d d"]
    rates: Float[Values, " d"]
    is_curved: bool

    @classmethod
    def plain(cls, d: int, *, is_curved: bool, scale: float = 1.0) -> "Flow":
        """The motion that prefers no direction."""
        return cls(basis=np.eye(d), rates=np.full(d, scale), is_curved=is_curved)

    @classmethod
    def of_snapshots(cls, z: Float[Values, "n d"], *, is_curved: bool) -> "Flow":
        """Estimate the target's covariance from states of chains; the fewer they are the more it is shrunk."""
        covariance = np.atleast_2d(np.cov(z, rowvar=False))
        weight = max(_LEAST_WEIGHT, _SHRUNK / (len(z) / 2 + _SHRUNK))
        shrunk = (1 - weight) * covariance + weight * np.diag(np.diag(covariance))
        e, basis = np.linalg.eigh(shrunk)
        if not e.max() > 0:  # no chain has moved yet, and nothing is known
            return cls.plain(z.shape[1], is_curved=is_curved)
        e = np.maximum(e, 1e-6 * e.max())
        return cls(basis=basis, rates=np.sqrt(e / e.max() if is_curved else e), is_curved=is_curved)

    def into(self, z: Float[Values, "n d"]) -> Float[Values, "n d"]:
        """Coordinates y of latents."""
        return z @ self.basis

    def out(self, y: Float[Values, "n d"]) -> Float[Values, "n d"]:
        """Latents of coordinates y."""
        return y @ self.basis.T

    def factors(self, step: Float[Values, " n"]) -> tuple[Float[Values, "n d"], Float[Values, "n d"]]:
        """What ``moved`` takes, for a step of its own for each of n chains."""
        angle = step[:, None] * self.rates
        return (np.cos(angle), np.sin(angle)) if self.is_curved else (np.ones_like(angle), angle)

    def moved(
        self, y: Float[Values, "n d"], p: Float[Values, "n d"], cos: Float[Values, "n d"], sin: Float[Values, "n d"]
    ) -> tuple[Float[Values, "n d"], Float[Values, "n d"]]:
        """Move positions and momenta by a step."""
        if not self.is_curved:
            return y + sin * p, p
        return y * cos + p * sin, p * cos - y * sin

    def reflected(self, p: Float[Values, "n d"], gradient: Float[Values, "n d"]) -> Float[Values, "n d"]:
        """Reflect momenta at walls whose gradients, in latents, are given; where one is zero nothing happens."""
        normal = (gradient @ self.basis) * self.rates
        square = np.square(normal).sum(axis=1, keepdims=True)
        share = (normal * p).sum(axis=1, keepdims=True) / np.where(square > 0, square, 1.0)
        return p - 2 * share * normal
