# SPDX-License-Identifier: MIT
"""The prior, or the uniform distribution, restricted to a region at any layer: return-map reflective Monte Carlo.

In: a region, its constraints and the target. Out: chains whose states are exact draws in the long run; warmed up, with
a flow and a step that are fixed afterwards.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egbas.region import Region
from egbas.region.constraints import Constraints
from egbas.samplers.flow import Flow
from egbas.samplers.trajectories import Lengths, Trajectories
from egbas.samplers.wall_flow import flow_of_walls, rescaled
from egbas.samplers.walls import walls_of


@dataclass(frozen=True, kw_only=True)
class ReflectionConfig:
    """Settings of the return-map sampler.

    Attributes:
        rounds: of the warm-up, each with the covariance that the one before has found.
        steps: of each chain in a round.
        share_outside: of the steps, which the size of a step is adapted to.
        lengths: of trajectories after the warm-up; the step is the first one there. With many coordinates
            they are shorter, and their steps smaller and less even.
        most: latents to ask about; a third of them in the warm-up, at least twenty steps of each round. None: no limit.
    """

    rounds: int = 6
    steps: int = 300
    share_outside: float = 0.6
    lengths: Lengths = field(default_factory=Lengths)
    most: int | None = None


_WARM_UP = 3  # so many times a warm-up fits into what may be spent
_FEWEST_STEPS = 20  # of a round of the warm-up
_HASTE = 0.25  # of the adaptation of the step
_PERIOD = 20  # steps after which it is adapted
_MANY = 128  # coordinates, from which on snapshots are too few for a covariance
_BY_WALLS = 4  # rounds of a warm-up in many dimensions whose flow is that of the walls; as many follow
_STEPS_BY_WALLS = 120  # of each chain in such a round
_SMALLER, _UNEVEN = 0.8, 0.5  # there the steps of trajectories are from 0.4 to 1.2 of the one that was adapted
_SHORT = {"shortest": 0.7, "longest": 2.0}  # trajectories of the warm-up
_QUARTER_TURN = {"shortest": 1.0, "longest": 3.0}  # those after it, where coordinates are many


class ReflectionKernel:
    """Chains of the return-map sampler.

    Attributes:
        evaluations: latents whose membership was asked so far.
    """

    def __init__(
        self, region: Region, constraints: Constraints, target: Any, config: ReflectionConfig | None = None
    ) -> None:
        """Take the walls; nothing is computed yet.

        Args:
            region: says which latents lie in it.
            constraints: of the region, for the normals of reflections.
            target: ``Gaussian``, ``UniformBox`` or ``UniformSphere``. On a sphere the chains are those of a Gaussian
                in the cone over the part of the region that lies on it.
            config: settings.
        """
        self.evaluations = 0
        self.config = config or ReflectionConfig()
        self.lengths = self.config.lengths
        self._target, self._constraints = target, constraints
        self._walls = walls_of(region, constraints, target)
        is_curved = not hasattr(target, "low")
        scale = 1.0 if is_curved else float((target.high - target.low).mean()) / 12**0.5
        self.flow = Flow.plain(target.d, is_curved=is_curved, scale=scale)

    def adapt(self, z: Float[Tensor, "chains d"], rng: np.random.Generator) -> Float[Tensor, "chains d"]:
        """Find the flow and the step; afterwards they are fixed.

        Args:
            z: states inside the region.
            rng: of momenta and lengths.

        Returns:
            States to go on from.
        """
        if self.flow.is_curved and self._target.d > _MANY and self.config.rounds > 1:
            return self._adapt_by_walls(z, rng)
        if self.config.most is not None:
            steps = self.config.most // (_WARM_UP * self.config.rounds * len(z))
            self.config = replace(self.config, steps=max(_FEWEST_STEPS, min(self.config.steps, steps)))
        for number in range(self.config.rounds):
            short = _SHORT if number < self.config.rounds // 2 else {}
            z, snapshots = self._warm_up(z, replace(self.lengths, **short), rng)
            self.flow = Flow.of_snapshots(snapshots.double().numpy(), is_curved=self.flow.is_curved)
        self.lengths = replace(self.config.lengths, step=self.lengths.step)
        return z

    def _adapt_by_walls(self, z: Float[Tensor, "chains d"], rng: np.random.Generator) -> Float[Tensor, "chains d"]:
        """Warm up in many dimensions: first with the flow of the walls, then with its axes and the chains' spread."""
        steps = _STEPS_BY_WALLS
        if self.config.most is not None:
            steps = min(steps, self.config.most // (_WARM_UP * 2 * _BY_WALLS * len(z)))
        self.config = replace(self.config, steps=max(_FEWEST_STEPS, steps))
        for number in range(2 * _BY_WALLS):
            if number < _BY_WALLS:
                self.flow, n_passes = flow_of_walls(self._constraints, z)
                self.evaluations += n_passes
            z, snapshots = self._warm_up(z, replace(self.lengths, **_SHORT), rng)
            if number >= _BY_WALLS - 1:
                self.flow = rescaled(self.flow, snapshots.double().numpy())
        # A quarter turn or so, and no longer: the more moves, the likelier is one that is refused, which turns back.
        # Where the region is narrow most moves are, unless the step is small, too.
        step = _SMALLER * self.lengths.step
        self.lengths = replace(self.config.lengths, **_QUARTER_TURN, step=step, jitter=_UNEVEN)
        return z

    def draw(self, z: Float[Tensor, "chains d"], n: int, rng: np.random.Generator) -> Float[Tensor, "chains n d"]:
        """Draw the next n states of each chain: the ends of n trajectories.

        Args:
            z: states inside the region.
            n: how many.
            rng: of momenta and lengths.

        Returns:
            Fewer than n, maybe none, where the config's limit was met: as many as all chains have.
        """
        chains = self._trajectories(z, self.lengths, rng)
        drawn = z.new_zeros(len(z), n, z.shape[1])
        counts = np.zeros(len(z), np.int64)
        while len(rows := (counts < n).nonzero()[0]):
            before = chains.evaluations
            ended = chains.step(rows)
            self.evaluations += chains.evaluations - before
            drawn[torch.from_numpy(ended), torch.from_numpy(counts[ended])] = chains.latents[torch.from_numpy(ended)]
            counts[ended] += 1
            if self.config.most is not None and self.evaluations >= self.config.most:
                break
        return drawn[:, : int(counts.min())]

    def _trajectories(self, z: Tensor, lengths: Lengths, rng: np.random.Generator) -> Trajectories:
        return Trajectories(flow=self.flow, walls=self._walls, target=self._target, lengths=lengths, rng=rng, z=z)

    def _warm_up(self, z: Tensor, lengths: Lengths, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A round: states at its end, and snapshots (n, d) on the way."""
        chains = self._trajectories(z, lengths, rng)
        rows, snapshots = np.arange(len(z)), []
        step, outside = lengths.step, 0.0
        for number in range(1, self.config.steps + 1):
            chains.step(rows)
            outside += chains.share_outside
            if number % _PERIOD == 0:
                step *= float(np.exp(_HASTE * (self.config.share_outside - outside / _PERIOD)))
                outside = 0.0
                lengths = replace(lengths, step=step)
                chains.set_step(step, lengths)
            if number > self.config.steps // 4 and number % 5 == 0:
                snapshots.append(chains.z.clone())
        self.lengths = lengths
        self.evaluations += chains.evaluations
        return chains.z, torch.cat(snapshots)
