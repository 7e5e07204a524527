# SPDX-License-Identifier: MIT
"""Regions whose moments are known, and the test that a kernel keeps them.

Chains start from exact draws, by rejection. A kernel that leaves the restricted target as it is keeps every moment at
its value; each chain's mean over its draws is one observation, and chains are independent.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from egbas.network import Network
from egbas.samplers.kernel import Kernel, Walls
from egbas.samplers.target import Density, Gaussian, Target, UniformBox, UniformSphere


class Oracle:
    """A region that is only a membership test."""

    def __init__(self, inside: Callable[[Tensor], Tensor]) -> None:
        self.contains = inside


class Polytope:
    """The region {z: A z + b >= 0}."""

    def __init__(self, normals: list[list[float]] | Tensor, offsets: list[float] | Tensor) -> None:
        self.walls: Walls = tuple(torch.as_tensor(part, dtype=torch.float64) for part in (normals, offsets))

    def linear(self) -> Walls:
        return self.walls

    def contains(self, z: Tensor) -> Tensor:
        normals, offsets = self.walls
        return (z.double() @ normals.T + offsets >= 0).all(dim=1)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A target, a region, and means of functions of z under the target restricted to the region."""

    target: Target
    region: Oracle | Polytope
    moments: dict[str, tuple[Callable[[Tensor], Tensor], float]] = field(default_factory=dict)

    def starts(self, n: int, rng: np.random.Generator) -> Tensor:
        """Exact draws, by rejection."""
        found = torch.zeros(0, self.target.d, dtype=torch.float64)
        while len(found) < n:
            z = torch.from_numpy(self._free(4 * n, rng))
            found = torch.cat([found, z[self.region.contains(z)]])
        return found[:n]

    def _free(self, n: int, rng: np.random.Generator) -> np.ndarray:
        target, shape = self.target, (n, self.target.d)
        if isinstance(target, UniformBox):
            return rng.uniform(target.low.numpy(), target.high.numpy(), shape)
        if isinstance(target, Density):  # all of the problems' densities are Laplace's
            return rng.laplace(size=shape)
        z = rng.standard_normal(shape)
        if isinstance(target, UniformSphere):
            z *= target.radius / np.linalg.norm(z, axis=1, keepdims=True)
        return z


def z_scores(problem: Problem, kernel: Kernel, *, n_chains: int = 1500, n: int = 8, seed: int = 0) -> dict[str, float]:
    """How many standard errors the moments of a kernel's draws are away from theirs."""
    rng = np.random.default_rng(seed)
    z = kernel.adapt(problem.starts(n_chains, rng), rng)
    draws = kernel.draw(z, n, rng)
    flat = draws.reshape(-1, problem.target.d)
    assert bool(problem.region.contains(flat).all()) and bool(problem.target.contains(flat).all())
    assert (draws[:, -1] != z).any(dim=1).double().mean() > 0.95  # nor does it stand still
    scores = {}
    for name, (function, value) in problem.moments.items():
        means = function(flat).reshape(n_chains, n).mean(dim=1)
        scores[name] = ((means.mean() - value) / (means.std() / math.sqrt(n_chains))).item()
    return scores


def coordinate(i: int, power: int = 1) -> Callable[[Tensor], Tensor]:
    return lambda z: z[:, i] ** power


def orthant() -> Problem:
    """Two walls whose normals have correlation rho, in 5 dimensions (Rosenbaum 1961 for the moments)."""
    rho = -0.7
    root = math.sqrt(1 - rho**2)
    region = Polytope([[1, 0, 0, 0, 0], [rho, root, 0, 0, 0]], [0, 0])
    mass = 0.25 + math.asin(rho) / (2 * math.pi)

    def second(z: Tensor) -> Tensor:
        return rho * z[:, 0] + root * z[:, 1]

    return Problem(
        target=Gaussian(5),
        region=region,
        moments={
            "y1": (coordinate(0), (1 + rho) / (2 * math.sqrt(2 * math.pi) * mass)),
            "y2": (second, (1 + rho) / (2 * math.sqrt(2 * math.pi) * mass)),
            "y1^2": (coordinate(0, 2), 1 + rho * root / (2 * math.pi * mass)),
            "y1 y2": (lambda z: z[:, 0] * second(z), rho + root / (2 * math.pi * mass)),
            "z3": (coordinate(2), 0.0),
            "z3^2": (coordinate(2, 2), 1.0),
        },
    )


def slab() -> Problem:
    """0.5 <= z1 <= 0.9, written with walls of other lengths."""
    law = stats.truncnorm(0.5, 0.9)
    return Problem(
        target=Gaussian(3),
        region=Polytope([[2, 0, 0], [-0.1, 0, 0]], [-1, 0.09]),
        moments={
            "z1": (coordinate(0), law.mean()),
            "z1^2": (coordinate(0, 2), law.moment(2)),
            "z2": (coordinate(1), 0.0),
            "z2^2": (coordinate(1, 2), 1.0),
        },
    )


def cone() -> Problem:
    """The round cone z1 >= |z| / 2 in 3 dimensions: z1 / |z| is uniform in 1/2 .. 1, and |z| is as without it."""
    return Problem(
        target=Gaussian(3),
        region=Oracle(lambda z: z[:, 0] >= 0.5 * z.norm(dim=1)),
        moments={
            "z1": (coordinate(0), 0.75 * stats.chi(3).mean()),
            "z1^2": (coordinate(0, 2), (1 + 0.5 + 0.25) / 3 * 3),
            "z2": (coordinate(1), 0.0),
            "|z|^2": (lambda z: z.square().sum(1), 3.0),
        },
    )


def ball(*, is_outside: bool = False) -> Problem:
    """|z| <= 1.5 in 4 dimensions, or all but that."""
    law, wider = stats.chi2(4), stats.chi2(6)
    mean = (wider.sf(2.25) / law.sf(2.25) if is_outside else wider.cdf(2.25) / law.cdf(2.25)) * 4
    return Problem(
        target=Gaussian(4),
        region=Oracle(lambda z: (z.norm(dim=1) <= 1.5) != is_outside),
        moments={
            "z1": (coordinate(0), 0.0),
            "z1^2": (coordinate(0, 2), mean / 4),
            "|z|^2": (lambda z: z.square().sum(1), mean),
        },
    )


def quadrants() -> Problem:
    """Z1 z2 >= 0: two parts that touch in a corner."""
    return Problem(
        target=Gaussian(2),
        region=Oracle(lambda z: z[:, 0] * z[:, 1] >= 0),
        moments={
            "z1": (coordinate(0), 0.0),
            "z1 z2": (lambda z: z[:, 0] * z[:, 1], 2 / math.pi),
            "z1^2": (coordinate(0, 2), 1.0),
        },
    )


def cap(*, is_oracle: bool = False) -> Problem:
    """The cap z1 >= -0.6 of the sphere of radius 2 in 3 dimensions, where z1 is uniform."""
    region = Polytope([[1, 0, 0]], [0.6])
    return Problem(
        target=UniformSphere(3, 2.0),
        region=Oracle(region.contains) if is_oracle else region,
        moments={
            "z1": (coordinate(0), 0.7),
            "z1^2": (coordinate(0, 2), (8 + 0.216) / (3 * 2.6)),
            "z2": (coordinate(1), 0.0),
            "z2^2": (coordinate(1, 2), (4 - (8 + 0.216) / (3 * 2.6)) / 2),
        },
    )


def triangle() -> Problem:
    """The half z1 + z2 >= 0 of the square |z| <= 1, and a third coordinate in 0 .. 10."""
    sides = torch.tensor([[-1.0, -1.0, 0.0], [1.0, 1.0, 10.0]], dtype=torch.float64)
    return Problem(
        target=UniformBox(sides[0], sides[1]),
        region=Polytope([[1, 1, 0]], [0]),
        moments={
            "z1": (coordinate(0), 1 / 3),
            "z1^2": (coordinate(0, 2), 1 / 3),
            "z1 z2": (lambda z: z[:, 0] * z[:, 1], 0.0),
            "z3": (coordinate(2), 5.0),
            "z3^2": (coordinate(2, 2), 100 / 3),
        },
    )


def laplace() -> Problem:
    """The density exp(-|z1| - |z2|) where z1 >= 0: a corner that is not smooth."""
    return Problem(
        target=Density(lambda z: -z.abs().sum(1), 2),
        region=Oracle(lambda z: z[:, 0] >= 0),
        moments={
            "z1": (coordinate(0), 1.0),
            "z1^2": (coordinate(0, 2), 2.0),
            "z2": (coordinate(1), 0.0),
            "z2^2": (coordinate(1, 2), 2.0),
        },
    )


def layer_one(generator: nn.Module, query: Tensor, n_units: int) -> Polytope:
    """The region of units of an affine layer 1 whose boundaries are at least 0.3 away from a query: of the closest."""
    network = Network(generator, (len(query),))
    head = network.split(1).in_float64().head
    values = head(torch.cat([query[None], torch.zeros(1, len(query)), torch.eye(len(query))]).double())
    at_query, offsets = values[:2]
    normals = (values[2:] - offsets).T
    distances = at_query.abs() / normals.norm(dim=1)
    units = torch.where(distances < 0.3, torch.inf, distances).argsort()[:n_units]
    signs = at_query[units].sign()
    return Polytope(normals[units] * signs[:, None], offsets[units] * signs)
