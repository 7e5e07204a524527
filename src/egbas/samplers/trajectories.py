# SPDX-License-Identifier: MIT
"""Return-map reflection: many chains side by side, each on a trajectory of its own.

A step moves a state by the flow, and reflects its momentum if it has come to lie outside. A move is a step repeated
until the first return to the region; after too many steps outside it is refused, and the state stays with its momentum
flipped. A trajectory is a number of moves that was drawn before it began. The first-return map of a step that keeps
volume and target is a bijection of the region that keeps them, too; so nothing is ever accepted or rejected by chance.

Moves are counted, not steps: "so many steps, then on until inside" would prefer the states that are reached late.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from egbas.samplers.flow import Flow
from egbas.samplers.walls import Walls, on_sphere

Values = NDArray[np.float64]
Rows = NDArray[np.int64]
_MOVES_AT_FIRST = 64


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long trajectories are.

    Attributes:
        step: size of a step, in units of time.
        shortest: duration, in units of time, in which the flow of a Gaussian turns by a radian.
        longest: duration.
        jitter: share by which a trajectory's step may differ from ``step``.
        patience: steps outside in a row after which a move is refused.
    """

    step: float = 0.2
    shortest: float = 2.0
    longest: float = 6.0
    jitter: float = 0.2
    patience: int = 100

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Float[Values, " n"], Rows]:
        """Steps and numbers of moves of n trajectories; about half of all steps end outside."""
        duration = rng.uniform(self.shortest, self.longest, n)
        step = self.step * rng.uniform(1 - self.jitter, 1 + self.jitter, n)
        return step, np.maximum(np.rint(duration / self.step / 2), 1).astype(np.int64)


@dataclass(kw_only=True, eq=False)
class Trajectories:
    """Chains on their trajectories.

    Attributes:
        flow: that moves them.
        walls: that they meet.
        target: the sphere has a ``radius``.
        lengths: of the trajectories that are to begin.
        rng: of momenta and lengths.
        z: (chains, d) the last state of each inside the region.
        evaluations: latents whose membership was asked.
        share_outside: of the last steps that ended outside.
    """

    flow: Flow
    walls: Walls
    target: Any
    lengths: Lengths
    rng: np.random.Generator
    z: Float[Tensor, "chains d"]
    evaluations: int = 0
    share_outside: float = 0.0
    _first: dict[int, Tensor] = field(default_factory=dict)  # of chains on their way back: the path ahead of the start

    def __post_init__(self) -> None:
        """Begin a trajectory of each chain."""
        n, d = self.z.shape
        self.z = self.z.clone()
        self._path = self.z.new_zeros(_MOVES_AT_FIRST, n, d)
        self._y, self._p, self._p0, self._cos, self._sin = (np.zeros((n, d)) for _ in range(5))
        self._radial = np.ones(n)
        self._left, self._moves, self._outside = (np.zeros(n, np.int64) for _ in range(3))
        self._begin(np.arange(n))

    def step(self, rows: Rows) -> Rows:
        """Move some chains by one step.

        Args:
            rows: which chains.

        Returns:
            Those whose trajectories have ended, at ``z``; they are on their next.
        """
        radial = self._radial[rows]
        y, p = self.flow.moved(self._y[rows], self._p[rows], self._cos[rows], self._sin[rows])
        is_radial = radial != 1
        y[is_radial] = self._y[rows[is_radial]] * radial[is_radial, None]
        z = torch.from_numpy(self.flow.out(y)).to(self.z)
        is_inside, gradients = self.walls.judge(z)
        self.evaluations += len(rows)
        inside = is_inside.numpy()
        outside = ~inside & ~is_radial
        p[outside] = self.flow.reflected(p[outside], gradients.double().numpy()[~is_radial[~inside]])

        self.share_outside = float(outside.mean())

        kept = inside | ~is_radial
        self._y[rows[kept]] = y[kept]
        self._p[rows[~is_radial]] = p[~is_radial]
        self._radial[rows] = 1.0
        self._outside[rows] = np.where(outside, self._outside[rows] + 1, 0)
        self._arrive(rows[inside], z[is_inside], self._moves[rows[inside]] + ~is_radial[inside])
        ended = [rows[(self._moves[rows] == self._left[rows]) & inside]]
        refused = rows[self._outside[rows] > self.lengths.patience]
        ended.append(np.array([row for row in refused if self._refuse(int(row))], np.int64))
        finished = np.sort(np.concatenate(ended))
        self._begin(finished)
        return finished

    def set_step(self, step: float, lengths: Lengths) -> None:
        """Change the step of all chains in the middle of their trajectories; for the warm-up alone."""
        self.lengths = lengths
        self._cos, self._sin = self.flow.factors(np.full(len(self.z), step))

    @property
    def latents(self) -> Float[Tensor, "chains d"]:
        """The states ``z``, where the target is a sphere on it."""
        return on_sphere(self.z, self.target.radius) if hasattr(self.target, "radius") else self.z

    def _arrive(self, rows: Rows, z: Tensor, moves: Rows) -> None:
        self._moves[rows] = moves
        if len(moves) and moves.max() >= len(self._path):
            self._path = torch.cat([self._path, torch.zeros_like(self._path)])
        self._path[torch.from_numpy(moves), torch.from_numpy(rows)] = z
        self.z[torch.from_numpy(rows)] = z

    def _begin(self, rows: Rows) -> None:
        """Begin trajectories at ``z``: a radial move, if it ends inside, and then as many moves as are drawn."""
        n, d = len(rows), self.z.shape[1]
        if not n:
            return
        z = self.z[torch.from_numpy(rows)]
        y = self.flow.into(z.double().numpy())
        self._y[rows] = y
        self._p[rows] = self._p0[rows] = self.rng.standard_normal((n, d))
        step, self._left[rows] = self.lengths.draw(n, self.rng)
        self._cos[rows], self._sin[rows] = self.flow.factors(step)
        self._outside[rows] = 0
        self._arrive(rows, z, np.zeros(n, np.int64))
        if self.flow.is_curved:
            length, now = np.sqrt(self.rng.chisquare(d, n)), np.linalg.norm(y, axis=1)
            self._radial[rows] = np.divide(length, now, out=np.ones(n), where=now > 0)  # the origin has no ray
        for row in rows:
            self._first.pop(int(row), None)

    def _refuse(self, row: int) -> bool:
        """Flip a momentum at the last state inside; whether the trajectory has ended with that.

        The way back is known. Where it ends before the start, or after a second refusal beyond it, the state that it
        ends in is known, too.
        """
        moves, left = int(self._moves[row]), int(self._left[row]) - int(self._moves[row]) - 1
        path = self._path[: moves + 1, row].flip(0)  # from here
        ahead = self._first.get(row)
        if ahead is None and left > moves:
            self._first[row] = path.flip(0)
            start = path[-1]
            self._left[row], self._moves[row], self._outside[row] = left - moves, 0, 0
            self._y[row] = self.flow.into(start.double().numpy()[None])[0]
            self._p[row] = -self._p0[row]
            self._path[0, row] = self.z[row] = start
            return False
        orbit = path if ahead is None else torch.cat([path, ahead[1:]])
        place = left % (2 * len(orbit))
        self.z[row] = orbit[min(place, 2 * len(orbit) - 1 - place)]
        return True
