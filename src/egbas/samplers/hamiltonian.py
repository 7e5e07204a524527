# SPDX-License-Identifier: MIT
"""Exact flights between the walls of a polytope {z: A z + b >= 0}, reflected off each wall that they meet.

A state gets a new momentum, flies for a while, and is recorded where it ends. Every flow keeps volume and its
distribution, and is undone by turning the momentum round; so is a reflection. There is no step and no acceptance test.

- N(0, I): z cos t + p sin t with p from N(0, I), for a quarter turn (Pakman and Paninski 2012).
- Uniform in a box: the straight flight z + t p with p from N(0, C), a billiard walk (Polyak and Gryazina 2014); the
  sides of the box are 2 d further walls. The reflection is that of the space in which C is round. C is estimated in the
  warm-up from states of all chains, and any C serves.
- Uniform on a sphere: the great circle z cos t + p sin t with p tangent and as long as z, for a random part of a half
  turn. The reflection is off the wall's part tangent to the sphere.

A flight that meets too many walls is refused: its chain stays where it was. The flight back would meet as many, so
that what is refused is mapped onto itself, which keeps the distribution. A flight whose end is not inside when it is
computed anew, which only rounding can do, is refused as well. That has no such symmetry: it may bias by as much as
its share of all flights, which ``refusals`` counts; it is zero in practice.
"""

import math
from typing import NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egbas.machine.compiled import compiled
from egbas.region import Region
from egbas.samplers.covariance import shrunk_covariance
from egbas.samplers.kernel import Array, Membership, Walls
from egbas.samplers.target import Gaussian, UniformBox, UniformSphere

_QUARTER_TURN = math.pi / 2
_WARM_UP = 32  # flights
_FEW_BOUNCES, _MANY_BOUNCES = 1000, 2000  # of a flight; where there are more it is made shorter
_ROUNDS = 4  # of the estimate of C, each of which has twice as many flights as the one before
_LONG = 4.0  # duration of a straight flight, whose speed is a deviation of the target
_MOST_BOUNCES = 20_000
_REFUSED = -1
_LEAST_SHARE = 1e-12  # of a flight's duration


class Polytope(NamedTuple):
    """The walls of a polytope, with what a reflection off one of them needs."""

    normals: Float[Array, "k d"]  # A
    offsets: Float[Array, " k"]  # b
    turned: Float[Array, "k d"]  # A C
    products: Float[Array, "k k"]  # A C A^T


class HamiltonianKernel:
    """Exact flights within a polytope.

    Attributes:
        refusals: flights that were refused since the warm-up.
        bounces: reflections since the warm-up.
    """

    def __init__(
        self,
        region: Region,
        walls: Walls,
        target: Gaussian | UniformBox | UniformSphere,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        """Take the walls as they are.

        Args:
            region: has the last word on every state.
            walls: A and b; the region is {z: A z + b >= 0}.
            target: what is restricted to the region.
            device: that the region wants its latents on.
        """
        self._target, self._is_inside = target, Membership(region, device)
        normals, offsets = (each.detach().cpu().double().numpy() for each in walls)
        if isinstance(target, UniformBox):
            low, high, eye = target.low.cpu().double().numpy(), target.high.cpu().double().numpy(), np.eye(target.d)
            normals, offsets = np.concatenate([normals, eye, -eye]), np.concatenate([offsets, -low, high])
        self._polytope = Polytope(np.ascontiguousarray(normals), offsets.copy(), normals.copy(), normals @ normals.T)
        self._factor = torch.eye(target.d, dtype=torch.float64)  # its transpose times it is C
        self._share = 1.0  # of the duration of a flight in a large region
        self.refusals = self.bounces = 0

    @property
    def evaluations(self) -> int:
        """Flights, whose ends the region was asked about, so far."""
        return self._is_inside.evaluations

    def adapt(self, z: Float[Tensor, "chains d"], rng: np.random.Generator) -> Float[Tensor, "chains d"]:
        """Forget where the chains started; learn how long to fly and, in a box, how the target is stretched."""
        state = z.numpy(force=True).astype(np.float64)
        if isinstance(self._target, UniformBox):
            # At first the region's extent is unknown, and all that is known is the box.
            width = (self._target.high - self._target.low).cpu().double().numpy()
            self._stretch(np.diag(width**2 / 12))
            for level in range(_ROUNDS):
                state = self._shorten(state, rng)
                states = self._fly_on(state, 2**level * _WARM_UP // 2, rng)
                state = states[:, -1]
                self._stretch(shrunk_covariance(states.reshape(-1, states.shape[2])))
        for _ in range(2):  # from where the chains started, and from where they are then
            state = self._shorten(state, rng)
            state = self._fly_on(state, _WARM_UP // 2, rng)[:, -1]
        self.refusals = self.bounces = 0
        return torch.from_numpy(state.copy())

    def draw(self, z: Float[Tensor, "chains d"], n: int, rng: np.random.Generator) -> Float[Tensor, "chains n d"]:
        """The ends of the next n flights."""
        return torch.from_numpy(self._fly_on(z.numpy(force=True).astype(np.float64), n, rng))

    def _stretch(self, covariance: Float[Array, "d d"]) -> None:
        normals, offsets = self._polytope.normals, self._polytope.offsets
        turned = normals @ covariance
        self._polytope = Polytope(normals, offsets, turned, turned @ normals.T)
        self._share = 1.0
        self._factor = torch.from_numpy(np.linalg.cholesky(covariance).T.astype(np.float64))

    def _shorten(self, z: Float[Array, "chains d"], rng: np.random.Generator) -> Float[Array, "chains d"]:
        """Fly until a flight does not meet too many walls: across a small region it would take for ever."""
        while True:
            n_refused, n_before = self.refusals, self.bounces
            z = self._flight(z, rng)
            n_met = (self.bounces - n_before + _MOST_BOUNCES * (self.refusals - n_refused)) / len(z)
            if n_met <= _MANY_BOUNCES or self._share < _LEAST_SHARE:
                return z
            self._share *= _FEW_BOUNCES / n_met

    def _fly_on(self, z: Float[Array, "chains d"], n: int, rng: np.random.Generator) -> Float[Array, "chains n d"]:
        states = np.empty((len(z), n, z.shape[1]))
        for i in range(n):
            z = self._flight(z, rng)
            states[:, i] = z
        return states

    def _flight(self, z: Float[Array, "chains d"], rng: np.random.Generator) -> Float[Array, "chains d"]:
        """One flight of every chain, or none where it was refused."""
        p, durations, curvature = self._momenta(z, rng)
        ends, bounces = z.copy(), np.empty(len(z), np.int64)
        _fly(ends, p, self._polytope, durations, isinstance(self._target, UniformBox), curvature, bounces)
        is_good = (bounces != _REFUSED) & self._is_inside(ends)
        self.bounces += int(bounces[is_good].sum())
        self.refusals += int((~is_good).sum())
        return np.where(is_good[:, None], ends, z)

    def _momenta(
        self, z: Float[Array, "chains d"], rng: np.random.Generator
    ) -> tuple[Float[Array, "chains d"], Float[Array, " chains"], float]:
        """Momenta, how long to fly with them, and the square of the sphere's curvature, 0 where there is none."""
        p = rng.standard_normal(z.shape)
        if isinstance(self._target, UniformBox):
            # By torch: the threads of numpy's products wait for each other, and are slow where others work, too.
            return (torch.from_numpy(p) @ self._factor).numpy(), np.full(len(z), self._share * _LONG), 0.0
        if isinstance(self._target, Gaussian):
            return p, np.full(len(z), self._share * _QUARTER_TURN), 0.0
        curvature = self._target.radius**-2
        p -= curvature * (p * z).sum(axis=1, keepdims=True) * z
        p *= self._target.radius / np.linalg.norm(p, axis=1, keepdims=True)
        return p, self._share * rng.uniform(0, math.pi, len(z)), curvature


@compiled()
@no_type_check
def _fly(z, p, polytope, durations, is_straight, curvature, bounces):  # noqa: PLR0913, PLR0917
    """Fly from every z, and count the bounces; ``_REFUSED`` where there are too many or the end is not inside."""
    u, v = np.empty(len(polytope.offsets)), np.empty(len(polytope.offsets))
    for i in range(len(z)):
        # A z and A p go along, so that no bounce needs a product with A.
        _multiply(polytope.normals, z[i], u)
        _multiply(polytope.normals, p[i], v)
        left, bounces[i] = durations[i], _REFUSED
        for n_bounces in range(_MOST_BOUNCES):
            time, wall = _first_wall(u, v, polytope.offsets, left, is_straight)
            _advance(z[i], p[i], time, is_straight)
            if wall < 0:
                bounces[i] = n_bounces
                break
            _advance(u, v, time, is_straight)
            u[wall] = -polytope.offsets[wall]  # exactly on the wall
            _reflect(z[i], p[i], u, v, polytope, wall, curvature)
            left -= time
        if curvature > 0:
            z[i] /= np.sqrt(curvature * _dot(z[i], z[i]))  # back on the sphere
        _multiply(polytope.normals, z[i], u)
        for k in range(len(u)):
            if not u[k] + polytope.offsets[k] >= 0:
                bounces[i] = _REFUSED


@compiled()
@no_type_check
def _multiply(matrix, vector, product):
    for k in range(len(matrix)):
        product[k] = _dot(matrix[k], vector)


@compiled(is_sum=True)
@no_type_check
def _dot(a, b):
    total = 0.0
    for j in range(len(a)):
        total += a[j] * b[j]
    return total


@compiled()
@no_type_check
def _first_wall(u, v, offsets, left, is_straight):
    """When which wall is met; the time left and -1 where none is.

    Only a wall that is being approached can be met, so that the one just left is not met again through rounding. One
    that rounding has put the state behind is met at once if it is being approached.
    """
    time, wall = left, -1
    if is_straight:
        for k in range(len(u)):
            if v[k] < 0 and u[k] + offsets[k] < -v[k] * time:
                time, wall = max(0.0, (u[k] + offsets[k]) / -v[k]), k
        return time, wall
    cosine, sine = np.cos(time), np.sin(time)
    for k in range(len(u)):
        # A margin r cos(t - phase) + b becomes negative within a half turn if it is negative at the end of it, or has
        # its minimum on the way and that is negative. Most walls need no angle to be computed.
        is_behind = u[k] * cosine + v[k] * sine + offsets[k] < 0
        dips = v[k] < 0 and v[k] * cosine > u[k] * sine and u[k] * u[k] + v[k] * v[k] > offsets[k] * offsets[k]
        if is_behind or dips:
            height = min(1.0, max(-1.0, -offsets[k] / np.sqrt(u[k] * u[k] + v[k] * v[k])))
            met = max(0.0, np.arctan2(v[k], u[k]) + np.arccos(height))
            if met < time:
                time, wall = met, k
                cosine, sine = np.cos(time), np.sin(time)
    return time, wall


@compiled()
@no_type_check
def _advance(position, velocity, time, is_straight):
    if is_straight:
        for j in range(len(position)):
            position[j] += time * velocity[j]
        return
    cosine, sine = np.cos(time), np.sin(time)
    for j in range(len(position)):
        old = position[j]
        position[j] = old * cosine + velocity[j] * sine
        velocity[j] = velocity[j] * cosine - old * sine


@compiled()
@no_type_check
def _reflect(z, p, u, v, polytope, wall, curvature):  # noqa: PLR0913, PLR0917
    """Turn the momentum off a wall; on a sphere, off the part of its normal that is tangent, n - (n z) z / R^2."""
    normal, products = polytope.turned[wall], polytope.products[wall]
    along = curvature * u[wall]
    square = polytope.products[wall, wall] - along * u[wall]
    factor = 2 * v[wall] / square
    for j in range(len(p)):
        p[j] -= factor * (normal[j] - along * z[j])
    for k in range(len(v)):
        v[k] -= factor * (products[k] - along * u[k])
