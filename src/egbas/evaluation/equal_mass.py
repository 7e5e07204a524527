# SPDX-License-Identifier: MIT
"""The fair rival of a region: the prior restricted to a ball around the query that has the same prior mass.

In: a query, its latent space, a mass. Out: independent draws. Not in the paper, whose balls have the radius that a tree
reached.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.latent import LatentSpace, Normal, Uniform

EQUAL_MASS = "ball of equal mass"
_MOST_DRAWS = 1_000_000  # of the prior, of which the nearest are taken where there is no formula
_AT_ONCE = 2**24  # values of latents that are held together
_INVERTED = 0.01  # relative error of a mass, within which its radius is right


@dataclass(frozen=True, kw_only=True, eq=False)
class BallDraws:
    """Independent draws of the prior in a ball around the query, or in a cap on the sphere through it.

    Attributes:
        latents: (n, d) float64.
        radius: of the ball, in latent units; of a cap, along the sphere.
    """

    latents: Float[Tensor, "n d"]
    radius: float


def ball_of_equal_mass(
    query: Float[Tensor, " d"], latent: LatentSpace, log10_mass: float, n: int, *, rng: torch.Generator
) -> BallDraws:
    """Draw from the prior restricted to the ball around a query that has a prior mass.

    Args:
        query: z0.
        latent: the latent space.
        log10_mass: of the ball. < 0.
        n: draws.
        rng: a CPU generator.

    Raises:
        ConfigError: the mass is not below 1, or so small that no draws of a prior without a formula lie inside; with a
            formula, that numbers do not hold it.
    """
    if not log10_mass < 0:
        raise ConfigError(f"got a log10 mass of {log10_mass}; expected a negative number")
    random = np.random.default_rng(int(torch.randint(2**63 - 1, (), generator=rng)))
    z0 = query.detach().cpu().double()
    mass = 10.0**log10_mass
    if mass == 0:
        raise _too_small(f"10^{log10_mass:.0f}")
    if isinstance(latent.prior, Normal):
        return (_in_cap if latent.geometry == "sphere" else _in_ball)(z0, mass, n, random)
    return _nearest(z0, latent, mass, n, rng)


def _in_ball(z0: Float[Tensor, " d"], mass: float, n: int, rng: np.random.Generator) -> BallDraws:
    """Draws of N(0, I): the squared distance is noncentral chi-squared, the direction then von Mises-Fisher.

    With z = z0 + s u the density of u is that of exp(-s z0 u): its mean direction is -z0, its concentration s |z0|.
    """
    from scipy import stats

    d, length = len(z0), float(z0.norm())
    squares = stats.ncx2(d, length**2) if length > 0 else stats.chi2(d)
    distances = np.sqrt(_quantiles(squares, np.append(rng.random(n), 1.0) * mass))
    far, radius = distances[:-1], float(distances[-1])
    if length == 0:
        u = rng.standard_normal((n, d))
        u /= np.linalg.norm(u, axis=1, keepdims=True)
    elif d == 1:  # two directions, which von Mises and Fisher do not have
        is_away = rng.random((n, 1)) < 1 / (1 + np.exp(2 * length * far[:, None]))
        u = np.where(is_away, 1.0, -1.0) * np.sign(z0.numpy())
    else:
        towards = (-z0 / length).numpy()
        u = np.concatenate([stats.vonmises_fisher(towards, s * length).rvs(1, random_state=rng) for s in far])
    return BallDraws(latents=z0 + torch.from_numpy(far[:, None] * u), radius=radius)


def _quantiles(distribution: Any, masses: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Below which a distribution has some masses. Where these are tiny the inverse fails in silence: it is checked."""
    found = distribution.ppf(masses)
    is_right = (found > 0) & np.isfinite(found) & (abs(distribution.cdf(found) - masses) <= _INVERTED * masses)
    if not is_right.all():
        raise _too_small(f"{masses.max():.2g}")
    return found


def _too_small(mass: str) -> ConfigError:
    return ConfigError(f"a ball of prior mass {mass} is too small for its radius to be told; ask for a larger one")


def _in_cap(z0: Float[Tensor, " d"], mass: float, n: int, rng: np.random.Generator) -> BallDraws:
    """Uniform draws of the sphere through the query: (1 - cos) / 2 of the angle has a beta distribution."""
    from scipy import stats

    d, length = len(z0), float(z0.norm())
    halves = stats.beta((d - 1) / 2, (d - 1) / 2)
    all_cosines = 1 - 2 * _quantiles(halves, np.append(rng.random(n), 1.0) * mass)
    cosines, edge = all_cosines[:-1], float(all_cosines[-1])
    axis = (z0 / length).numpy()
    across = rng.standard_normal((n, d))
    across -= (across @ axis)[:, None] * axis
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    z = length * (cosines[:, None] * axis + np.sqrt(1 - cosines**2)[:, None] * across)
    return BallDraws(latents=torch.from_numpy(z), radius=length * math.acos(edge))


def _nearest(z0: Float[Tensor, " d"], latent: LatentSpace, mass: float, n: int, rng: torch.Generator) -> BallDraws:
    """The nearest of many draws of any prior; around the query alone where that is small and the prior uniform."""
    wanted, around = math.ceil(n / mass), None
    if wanted > _MOST_DRAWS and isinstance(latent.prior, Uniform):
        around = _box_around(z0, latent.prior, mass)
        wanted = math.ceil(n / mass * _share(around, latent.prior))
    if wanted > _MOST_DRAWS:
        raise ConfigError(
            f"a ball of prior mass {mass:.2g} holds {mass * _MOST_DRAWS:.0f} of {_MOST_DRAWS:,} draws; expected {n}: "
            "ask for fewer draws, or a larger ball"
        )
    at_once = max(1, _AT_ONCE // len(z0))
    z = torch.zeros(0, len(z0), dtype=torch.float64)
    for first in range(0, wanted, at_once):
        some = min(at_once, wanted - first)
        more = latent.sample(some, rng).double() if around is None else _uniform(*around, some, rng)
        z = torch.cat([z, more])
        z = z[(z - z0).norm(dim=1).argsort()[:n]]
    radius = float((z[-1] - z0).norm())
    return BallDraws(latents=z[torch.randperm(len(z), generator=rng)], radius=radius)


def _box_around(z0: Float[Tensor, " d"], prior: Uniform, mass: float) -> tuple[Tensor, Tensor]:
    """A box within the support that holds the ball of a mass, wherever the query is.

    In a corner a 2^d-th of a ball lies in the support, so that its radius is at most twice that of a whole one.
    """
    d = len(z0)
    log_unit_ball = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    radius = 2 * prior.bound * math.exp((math.log(mass) - log_unit_ball) / d)
    return (z0 - 2 * radius).clamp(min=-prior.bound), (z0 + 2 * radius).clamp(max=prior.bound)


def _share(box: tuple[Tensor, Tensor], prior: Uniform) -> float:
    return float(((box[1] - box[0]) / (2 * prior.bound)).prod())


def _uniform(low: Float[Tensor, " d"], high: Float[Tensor, " d"], n: int, rng: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, len(low), generator=rng, dtype=torch.float64)
