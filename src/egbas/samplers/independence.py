# SPDX-License-Identifier: MIT
"""Independence proposals (Tierney 1994): Metropolis-Hastings moves whose proposals do not depend on the state.

In: states of chains that have warmed up. Out: a mixture of normal distributions around some of them, and moves that
propose its draws. In few dimensions it is so close to the target in its region that most of them are accepted, and a
state that is one has forgotten all before it.

Why it is exact. The mixture is fixed once the warm-up is over, so that a proposal y is accepted with probability
min(1, w(y) / w(z)), w being the target's density over the mixture's. One part of it is wider than the states are, so
that w is bounded where the target's tails are no heavier than those of a normal distribution.

All proposals of a call are known before the first is accepted: one membership call serves them all.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from egbas.samplers.covariance import shrunk_covariance
from egbas.samplers.kernel import Array, Membership
from egbas.samplers.target import Density, Gaussian, Target, UniformBox, UniformSphere

FEW_DIMENSIONS = 4  # up to which it pays
_MOST_CENTRES = 512
_NARROW = 0.5  # of the width by Scott's rule, which blurs the sharp sides of a region too much
_WIDE, _SHARE = 2.0, 0.1  # the wide part: so many deviations of the states, and how often it is drawn from
_AT_ONCE = 4096  # latents of which the mixture's density is computed together


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """Normal distributions around centres, and one wide one around their mean (a kernel density estimate).

    Attributes:
        centres: (k, d) in latent units, each as likely as the others.
        factor: F^T F is the covariance of the states.
        width: deviations of the normal distributions around the centres, in those of the states.
    """

    centres: Float[Array, "k d"]
    factor: Float[Array, "d d"]
    width: float

    @classmethod
    def of(cls, states: Float[Array, "n d"]) -> "Mixture":
        """Fit it to states of all chains, by Scott's rule (1992)."""
        factor = np.linalg.cholesky(shrunk_covariance(states)).T.astype(np.float64)
        every = math.ceil(len(states) / _MOST_CENTRES)
        centres = states[::every]
        return cls(centres=centres, factor=factor, width=_NARROW * len(centres) ** (-1 / (states.shape[1] + 4)))

    def draw(self, n: int, rng: np.random.Generator) -> Float[Array, "n d"]:
        """Independent draws."""
        is_wide = rng.random(n) < _SHARE
        chosen = self.centres[rng.integers(len(self.centres), size=n)]
        middle = np.where(is_wide[:, None], self.centres.mean(axis=0), chosen)
        width = np.where(is_wide, _WIDE, self.width)
        return middle + width[:, None] * (rng.standard_normal((n, self.centres.shape[1])) @ self.factor)

    def log_density(self, z: Float[Array, "n d"]) -> Float[Array, " n"]:
        """The logarithm of its density, up to a constant."""
        parts = [self._log_density(z[i : i + _AT_ONCE]) for i in range(0, len(z), _AT_ONCE)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _log_density(self, z: Float[Array, "n d"]) -> Float[Array, " n"]:
        k, d = self.centres.shape
        z, centres = (np.linalg.solve(self.factor.T, x.T).T.astype(np.float64) for x in (z, self.centres))
        squares = sum((z[:, None, i] - centres[None, :, i]) ** 2 for i in range(d))  # (n, k)
        narrow = math.log((1 - _SHARE) / k) - d * math.log(self.width) - squares / (2 * self.width**2)
        wide = math.log(_SHARE) - d * math.log(_WIDE) - ((z - centres.mean(axis=0)) ** 2).sum(axis=1) / (2 * _WIDE**2)
        return np.logaddexp.reduce(np.column_stack([narrow, wide]), axis=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Leaps:
    """Moves that propose draws of a mixture.

    Attributes:
        mixture: what is proposed.
        target: what is restricted to the region.
        is_inside: asks the region.
    """

    mixture: Mixture
    target: Target
    is_inside: Membership

    def __call__(
        self, z: Float[Array, "chains d"], n: int, every: int, rng: np.random.Generator
    ) -> tuple[Float[Array, "chains n d"], float]:
        """The n states of each chain after every so many moves, and the share of moves that were accepted.

        Args:
            z: states inside the region.
            n: states wanted of each chain.
            every: moves from one of them to the next.
            rng: all randomness.
        """
        proposed = self.mixture.draw(n * every * len(z), rng)
        weights = self._log_weight(proposed)
        is_good = np.isfinite(weights)
        is_good[is_good] = self.is_inside(proposed[is_good])
        weights[~is_good] = -np.inf
        limits = np.log(rng.random((n * every, len(z))))
        proposed, weights = proposed.reshape(*limits.shape, z.shape[1]), weights.reshape(limits.shape)
        states, z, now = np.empty((len(z), n, z.shape[1])), z.copy(), self._log_weight(z)
        n_accepted = 0
        for move in range(len(limits)):
            accepted = limits[move] < weights[move] - now
            z[accepted], now[accepted] = proposed[move, accepted], weights[move, accepted]
            n_accepted += int(accepted.sum())
            states[:, move // every] = z
        return states, n_accepted / max(1, limits.size)

    def _log_weight(self, z: Float[Array, "n d"]) -> Float[Array, " n"]:
        return log_density(self.target, z) - self.mixture.log_density(z)


def has_leaps(target: Target) -> bool:
    """Whether a target has so few dimensions that leaps pay; a sphere has no density in its space."""
    return target.d <= FEW_DIMENSIONS and not isinstance(target, UniformSphere)


def log_density(target: Target, z: Float[Array, "n d"]) -> Float[Array, " n"]:
    """The logarithm of a target's density, up to a constant; -inf outside its support."""
    match target:
        case Gaussian():
            return -0.5 * (z**2).sum(axis=1)
        case UniformBox():
            return np.where(target.contains(torch.from_numpy(z)).numpy(), 0.0, -np.inf)
        case Density():
            return target.log_density(torch.from_numpy(z)).double().cpu().numpy()
        case UniformSphere():
            raise TypeError("a sphere has no density in its space")
