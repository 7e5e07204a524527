# SPDX-License-Identifier: MIT
"""Random curves through states, on which a target is known up to membership in a region.

A curve is a(t) z + b(t) p through the state z at t = 0: an arc z cos t + p sin t, or a line z + t p. With it comes a
bracket that holds t = 0: what of the curve the target allows at a level drawn below its density at z.

- N(0, I): a line with p from N(0, C), whose bracket is the interval of the level in closed form; every eighth time an
  ellipse with p from N(0, I), all of it (elliptical slice sampling, Murray et al. 2010). An ellipse goes farther, and
  takes three times as many tests.
- Uniform on a sphere: z gets the random length of N(0, I), which its direction does not depend on; then the curves of
  N(0, I), each point put back on the sphere. An ellipse becomes a great circle.
- Uniform in a box: a line with p from N(0, C), to the sides of the box.
- Any density: a line, and a bracket by stepping out (Neal 2003, figure 3). Its points have to be above the level, too.

C says how the target is stretched. Any C that does not follow the state serves: a line is as likely from each of its
points.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from egbas.samplers.kernel import Array
from egbas.samplers.target import Density, Gaussian, Target, UniformBox, UniformSphere

_ARC_EVERY = 8
_WIDTH = 3.0  # of a step out, in deviations of the target
_MOST_STEPS = 16  # out, in both directions together


class Brackets(NamedTuple):
    """One curve for each of some states, with its bracket."""

    z: Float[Array, "n d"]
    p: Float[Array, "n d"]
    is_arc: Bool[NDArray[np.bool_], " n"]
    lower: Float[Array, " n"]
    upper: Float[Array, " n"]
    t: Float[Array, " n"]  # where the curve is looked at next
    level: Float[Array, " n"]  # that the log density has to exceed

    def points(self, which: Int[NDArray[np.int64], " m"]) -> Float[Array, "m d"]:
        """Where some of the curves are at t."""
        t, is_arc = self.t[which], self.is_arc[which]
        a, b = np.where(is_arc, np.cos(t), 1.0), np.where(is_arc, np.sin(t), t)
        return a[:, None] * self.z[which] + b[:, None] * self.p[which]


@runtime_checkable
class Curves(Protocol):
    """The curves of a target."""

    def start(self, z: Float[Array, "n d"], moves: Int[NDArray[np.int64], " n"], rng: np.random.Generator) -> Brackets:
        """A new curve through each state, which is the so-manieth of its chain."""
        ...

    def place(self, points: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """The states that points of curves stand for."""
        ...

    def allows(self, z: Float[Array, "n d"], level: Float[Array, " n"]) -> Bool[NDArray[np.bool_], " n"]:
        """Say of which states the density is above the level, as far as the bracket does not say so."""
        ...


def curves_of(target: Target, factor: Float[Array, "d d"]) -> Curves:
    """The curves of a target.

    Args:
        target: what is sampled.
        factor: F^T F = C, how the target is stretched.
    """
    match target:
        case Gaussian():
            return GaussianCurves(factor=factor)
        case UniformSphere():
            return SphereCurves(factor=factor, radius=target.radius)
        case UniformBox():
            return BoxCurves(factor=factor, box=target)
        case Density():
            return DensityCurves(factor=factor, density=target)


@dataclass(frozen=True, kw_only=True, eq=False)
class GaussianCurves:
    """The curves of N(0, I).

    Attributes:
        factor: F^T F = C.
    """

    factor: Float[Array, "d d"]

    def start(self, z: Float[Array, "n d"], moves: Int[NDArray[np.int64], " n"], rng: np.random.Generator) -> Brackets:
        """An ellipse now and then, or else a line."""
        is_arc, v = moves % _ARC_EVERY == 0, rng.standard_normal(z.shape)
        p = np.where(is_arc[:, None], v, stretched(v, self.factor))
        turn = rng.uniform(0, 2 * math.pi, len(z))
        # |z + t p|^2 / 2 <= |z|^2 / 2 + e with e exponential
        along, square = (z * p).sum(axis=1), (p * p).sum(axis=1)
        root = np.sqrt(along**2 + 2 * rng.exponential(size=len(z)) * square)
        lower, upper = (-along - root) / square, (-along + root) / square
        t = rng.uniform(lower, upper)
        return Brackets(
            z=z.copy(),
            p=p,
            is_arc=is_arc,
            lower=np.where(is_arc, turn - 2 * math.pi, lower),
            upper=np.where(is_arc, turn, upper),
            t=np.where(is_arc, turn, t),
            level=np.full(len(z), -np.inf),
        )

    def place(self, points: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """The points themselves."""
        return points

    def allows(self, z: Float[Array, "n d"], level: Float[Array, " n"]) -> Bool[NDArray[np.bool_], " n"]:
        """All: the bracket says it."""
        return np.ones(len(z), np.bool_)


@dataclass(frozen=True, kw_only=True, eq=False)
class SphereCurves(GaussianCurves):
    """The curves of the uniform distribution on a sphere.

    Attributes:
        radius: of the sphere, in latent units.
    """

    radius: float

    def start(self, z: Float[Array, "n d"], moves: Int[NDArray[np.int64], " n"], rng: np.random.Generator) -> Brackets:
        """Those of N(0, I), from a random length."""
        lengths = np.sqrt(rng.chisquare(z.shape[1], (len(z), 1)))
        return super().start(lengths / self.radius * z, moves, rng)

    def place(self, points: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Back on the sphere."""
        return points * (self.radius / np.linalg.norm(points, axis=1, keepdims=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxCurves:
    """The curves of the uniform distribution in a box.

    Attributes:
        factor: F^T F = C.
        box: the box.
    """

    factor: Float[Array, "d d"]
    box: UniformBox
    _sides: tuple[Array, Array] = field(init=False)

    def __post_init__(self) -> None:
        """Keep the sides as arrays."""
        low, high = (side.cpu().double().numpy() for side in (self.box.low, self.box.high))
        object.__setattr__(self, "_sides", (low, high))

    def start(self, z: Float[Array, "n d"], moves: Int[NDArray[np.int64], " n"], rng: np.random.Generator) -> Brackets:
        """A line, up to the sides."""
        p = stretched(rng.standard_normal(z.shape), self.factor)
        low, high = self._sides
        first, second = (low - z) / p, (high - z) / p
        lower = np.minimum(np.minimum(first, second).max(axis=1), 0.0)
        upper = np.maximum(np.maximum(first, second).min(axis=1), 0.0)
        return _lines(z, p, (lower, upper), np.full(len(z), -np.inf), rng)

    def place(self, points: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """The points themselves."""
        return points

    def allows(self, z: Float[Array, "n d"], level: Float[Array, " n"]) -> Bool[NDArray[np.bool_], " n"]:
        """Within the sides, which rounding may have crossed."""
        low, high = self._sides
        return np.asarray(((z >= low) & (z <= high)).all(axis=1), np.bool_)


@dataclass(frozen=True, kw_only=True, eq=False)
class DensityCurves:
    """The curves of any density.

    Attributes:
        factor: F^T F = C.
        density: the distribution.
    """

    factor: Float[Array, "d d"]
    density: Density

    def start(self, z: Float[Array, "n d"], moves: Int[NDArray[np.int64], " n"], rng: np.random.Generator) -> Brackets:
        """A line, stepped out until both ends are below the level or there were enough steps."""
        v = rng.standard_normal(z.shape)
        p = stretched(v / np.linalg.norm(v, axis=1, keepdims=True), self.factor)
        level = self._log_density(z) - rng.exponential(size=len(z))
        lower = -_WIDTH * rng.uniform(size=len(z))
        upper, n_down = lower + _WIDTH, rng.integers(0, _MOST_STEPS, len(z))
        self._step_out(z, p, level, (lower, -_WIDTH, n_down))
        self._step_out(z, p, level, (upper, _WIDTH, _MOST_STEPS - 1 - n_down))
        return _lines(z, p, (lower, upper), level, rng)

    def place(self, points: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """The points themselves."""
        return points

    def allows(self, z: Float[Array, "n d"], level: Float[Array, " n"]) -> Bool[NDArray[np.bool_], " n"]:
        """Above the level."""
        return self._log_density(z) > level

    def _log_density(self, z: Float[Array, "n d"]) -> Float[Array, " n"]:
        return self.density.log_density(torch.from_numpy(z)).double().cpu().numpy()

    def _step_out(self, z: Array, p: Array, level: Array, end: tuple[Array, float, NDArray[np.int64]]) -> None:
        """Move one end of all brackets, each as often as it may and has to."""
        t, step, n_steps = end
        which = np.flatnonzero(n_steps > 0)
        for n_done in range(1, _MOST_STEPS):
            if not len(which):
                break
            which = which[self.allows(z[which] + t[which, None] * p[which], level[which])]
            t[which] += step
            which = which[n_steps[which] > n_done]


def stretched(v: Float[Array, "n d"], factor: Float[Array, "d d"]) -> Float[Array, "n d"]:
    """Rows v F. By torch: the threads of numpy's products wait for each other, and are slow on a busy machine."""
    return (torch.from_numpy(v) @ torch.from_numpy(factor)).numpy()


def _lines(z: Array, p: Array, ends: tuple[Array, Array], level: Array, rng: np.random.Generator) -> Brackets:
    lower, upper = ends
    is_arc, t = np.zeros(len(z), np.bool_), rng.uniform(lower, upper)
    return Brackets(z=z.copy(), p=p, is_arc=is_arc, lower=lower, upper=upper, t=t, level=level)
