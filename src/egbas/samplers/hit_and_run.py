# SPDX-License-Identifier: MIT
"""Slice sampling along random curves, for a region that is nothing but a membership test.

A move draws a curve through the state, with a bracket on it (``curves``), and then points of the bracket until one is
inside; each that is not becomes the bracket's new end on its side of the state (shrinkage, Neal 2003, section 4.2).

Why it is exact. The curve with its bracket is as likely from every point of the bracket that the move may end at, and
so is every sequence of rejected points, since the ends close in on the set {inside, above the level} from without and
never pass the state nor the point it ends at. Hence the probability of going from one to the other is symmetric, and
the move leaves the target, restricted to the region, as it is. No smoothness, convexity or connectedness is needed.

All chains go on side by side, with one membership call a round for all. Each does a fixed number of moves, and one
that is done with a move begins the next at once: to stop a chain when it happens to be inside would be wrong.

In few dimensions most moves after the warm-up are leaps to draws of a mixture that was fitted in it (``independence``).
A call's first moves go along curves, which reach what the mixture may have missed.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egbas.region import Region
from egbas.samplers.covariance import shrunk_covariance
from egbas.samplers.curves import Brackets, curves_of
from egbas.samplers.independence import Leaps, Mixture, has_leaps
from egbas.samplers.kernel import Array, Membership
from egbas.samplers.target import Target

_ROUNDS = 4  # of the warm-up, each twice as long as the one before
_SNAPSHOTS = 4  # of each chain in the first of them, a draw's worth of moves in all, or four moves each
_FEW = 0.2  # share of leaps that are accepted, below which curves do better
_MOST_TRIES = 100  # after which a bracket has no length left


class HitAndRunKernel:
    """Slice sampling with shrinkage along random curves.

    Attributes:
        moves: between two draws.
    """

    def __init__(
        self,
        region: Region,
        target: Target,
        *,
        moves: int | None = None,
        most: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Begin with round directions.

        Args:
            region: tells which latents are inside.
            target: what is restricted to the region.
            moves: between two draws; None: half as many as there are dimensions, which a line can see one of.
            most: latents to ask about, in the warm-up at most half of them; None: no limit.
            device: that the region wants its latents on.
        """
        self._target, self._is_inside = target, Membership(region, device)
        self._curves = curves_of(target, np.eye(target.d))
        self._most = most
        self._leaps: Leaps | None = None
        self.moves = max(2, target.d // 2) if moves is None else moves

    @property
    def evaluations(self) -> int:
        """Latents whose membership was asked, so far."""
        return self._is_inside.evaluations

    def adapt(self, z: Float[Tensor, "chains d"], rng: np.random.Generator) -> Float[Tensor, "chains d"]:
        """Learn how the target is stretched, from states of all chains."""
        state, every = z.numpy(force=True).astype(np.float64), max(4, self.moves // _SNAPSHOTS)
        for level in range(_ROUNDS):
            states, accepted = self._warm(state, _SNAPSHOTS * 2**level, every, rng)
            if not states.shape[1]:
                break
            state, flat = states[:, -1], states.reshape(-1, states.shape[2])
            self.fit(flat, leaps=accepted > _FEW or level < _ROUNDS - 1)  # the last round has tried them
        return torch.from_numpy(state.copy())

    def fit(self, states: Float[Array, "n d"], *, leaps: bool = True) -> None:
        """Take directions, and leaps in few dimensions, from states in the region."""
        self._curves = curves_of(self._target, np.linalg.cholesky(shrunk_covariance(states)).T.astype(np.float64))
        self._leaps = None
        if leaps and has_leaps(self._target):
            self._leaps = Leaps(mixture=Mixture.of(states), target=self._target, is_inside=self._is_inside)

    def _warm(
        self, z: Float[Array, "chains d"], n: int, every: int, rng: np.random.Generator
    ) -> tuple[Float[Array, "chains m d"], float]:
        """States of a round of the warm-up, and the share of leaps that were accepted."""
        accepted = 0.0
        if self._leaps is not None:
            states = self._move(z, n, 1, rng, share=0.5)
            room = math.inf if self._most is None else self._most // 2 - self.evaluations
            if states.shape[1] < n or room < n * len(z):
                return states, accepted
            leapt, accepted = self._leaps(states[:, -1], n, 1, rng)
            if accepted > _FEW:
                return np.concatenate([states, leapt], axis=1), accepted
            z = leapt[:, -1]
        return self._move(z, n, every, rng, share=0.5), accepted

    def draw(self, z: Float[Tensor, "chains d"], n: int, rng: np.random.Generator) -> Float[Tensor, "chains n d"]:
        """The states after every ``moves`` moves; fewer, maybe none, where the limit was met."""
        state = z.numpy(force=True).astype(np.float64)
        if self._leaps is None:
            return torch.from_numpy(self._move(state, n, self.moves, rng))
        along = self._move(state, 1, self.moves, rng)
        if self._most is not None:
            n = min(n, (self._most - self.evaluations) // (len(state) * self.moves))
        if n < 1 or not along.shape[1]:
            return torch.from_numpy(along[:, :0])
        return torch.from_numpy(self._leaps(along[:, 0], n, self.moves, rng)[0])

    def _move(
        self, z: Float[Array, "chains d"], n: int, every: int, rng: np.random.Generator, *, share: float = 1.0
    ) -> Float[Array, "chains n d"]:
        """The n states after every so many moves, or as many as all chains have when a share of the limit is spent."""
        states, z = np.empty((len(z), n, z.shape[1])), z.copy()
        done, tries = np.zeros(len(z), np.int64), np.zeros(len(z), np.int64)
        brackets, busy = self._curves.start(z, done, rng), np.arange(len(z))
        while len(busy) and (self._most is None or self.evaluations < share * self._most):
            points = self._curves.place(brackets.points(busy))
            is_good = self._curves.allows(points, brackets.level[busy])
            is_good[is_good] = self._is_inside(points[is_good])
            z[busy[is_good]] = points[is_good]
            tries[busy] += 1
            has_moved = is_good | (tries[busy] > _MOST_TRIES)
            _shrink(brackets, busy[~has_moved], rng)

            moved = busy[has_moved]
            done[moved] += 1
            tries[moved] = 0
            recorded = moved[done[moved] % every == 0]
            states[recorded, done[recorded] // every - 1] = z[recorded]
            busy = busy[done[busy] < n * every]
            again = moved[done[moved] < n * every]
            for old, new in zip(brackets, self._curves.start(z[again], done[again], rng), strict=True):
                old[again] = new
        return states[:, : int(done.min()) // every]


def _shrink(brackets: Brackets, which: np.ndarray, rng: np.random.Generator) -> None:
    """End the bracket at the point that was rejected, and draw another."""
    t = brackets.t[which]
    brackets.lower[which] = np.where(t < 0, t, brackets.lower[which])
    brackets.upper[which] = np.where(t < 0, brackets.upper[which], t)
    brackets.t[which] = rng.uniform(brackets.lower[which], brackets.upper[which])
