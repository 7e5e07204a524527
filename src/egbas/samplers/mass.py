# SPDX-License-Identifier: MIT
"""The size of a region: the probability that a draw of the prior lies in it.

In: a region, its constraints and a kernel for every region m_k(z) / s_k >= level around it. Out: log10 of the mass with
an interval. Where the mass is large draws of the prior are counted. Elsewhere particles climb from the prior through a
nest of regions, each of which holds a fixed share of the one before (sequential Monte Carlo; Del Moral et al. 2006).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.region.constraints import Constraints, ShiftedConstraints
from egbas.region.stem_constraints import StemConstraints
from egbas.samplers.reflection import ReflectionConfig, ReflectionKernel
from egbas.samplers.trajectories import Lengths
from egbas.samplers.walls import Contains, on_sphere


@runtime_checkable
class Moves(Protocol):
    """A kernel, as far as particles need one."""

    evaluations: int

    def adapt(self, z: Tensor, rng: np.random.Generator) -> Tensor:
        """Fix the settings by states z."""
        ...

    def draw(self, z: Tensor, n: int, rng: np.random.Generator) -> Tensor:
        """Draw the next n states."""
        ...


Factory = Callable[[float], Moves]  # of a kernel for the region of a level; at 0 for the region itself


@dataclass(frozen=True, kw_only=True)
class MassConfig:
    """Settings of the measurement.

    Attributes:
        particles: in each repetition.
        repetitions: independent ones, whose spread gives the interval; at least 2.
        share: of the particles that the next region keeps.
        moves: draws of each particle in each region.
        plain: draws of the prior that are counted first.
        enough: of them inside the region, with which that is the answer.
        most_levels: regions in the nest after which a repetition ends.
    """

    particles: int = 128
    repetitions: int = 4
    share: float = 0.3
    moves: int = 1
    plain: int = 2048
    enough: int = 50
    most_levels: int = 200

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.repetitions < 2 or self.particles < 8 or not 0 < self.share < 1:
            raise ConfigError(
                f"got {self.repetitions} repetitions of {self.particles} particles that keep {self.share}; expected at "
                "least 2 of at least 8, and a share between 0 and 1"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Mass:
    """The mass of a region.

    Attributes:
        log10: of it; an upper bound where ``is_complete`` is False, -inf where no particle was ever inside.
        low: lower end of a 95 % interval.
        high: upper end.
        is_complete: whether the particles of every repetition reached the region.
        evaluations: latents whose membership was asked.
        latents: (n, d) particles inside the region, to start chains from.
    """

    log10: float
    low: float
    high: float
    is_complete: bool
    evaluations: int
    latents: Float[Tensor, "n d"]


def measure_mass(
    region: Contains,
    constraints: Constraints,
    target: Any,
    factory: Callable[[], Factory],
    rng: np.random.Generator,
    config: MassConfig | None = None,
) -> Mass:
    """Measure the mass of a region.

    Args:
        region: says which latents lie in it.
        constraints: of the region; the smallest scaled margin tells the regions of the nest apart.
        target: the prior: ``Gaussian``, ``UniformBox`` (``low``, ``high``) or ``UniformSphere`` (``radius``).
        factory: makes, for each repetition, what makes the kernels of its levels, in order.
        rng: of all draws.
        config: settings.
    """
    config = config or MassConfig()
    z = prior_draws(target, config.plain, rng)
    inside = region.contains(z)
    if (n_inside := int(inside.sum())) >= config.enough:
        return _counted(n_inside, z[inside], config.plain)
    climbs = [
        _Climb(region, constraints, factory(), config).run(prior_draws(target, config.particles, rng), rng)
        for _ in range(config.repetitions)
    ]
    logs = np.array([climb.log10 for climb in climbs])
    centre, spread = float(logs.mean()), _half_width(logs)
    return Mass(
        log10=centre,
        low=centre - spread,
        high=min(centre + spread, 0.0),
        is_complete=all(climb.is_complete for climb in climbs),
        evaluations=config.plain + sum(climb.evaluations for climb in climbs),
        latents=torch.cat([climb.latents for climb in climbs]),
    )


def reflection_levels(
    region: Contains, constraints: Constraints, target: Any, config: ReflectionConfig | None = None
) -> Factory:
    """Kernels of the return-map sampler, each of which begins with the flow and the step of the one before."""
    config = config or ReflectionConfig(rounds=1, steps=40, lengths=Lengths(shortest=1.0, longest=3.0))
    last: list[ReflectionKernel] = []

    def kernel(level: float) -> ReflectionKernel:
        if level >= 0:
            found = ReflectionKernel(region, constraints, target, config)
        else:
            around = LevelRegion(constraints, level)
            found = ReflectionKernel(around, _shifted(constraints, level), target, config)
        if last:
            before = last.pop()
            found.flow, found.lengths = before.flow, before.lengths
        last.append(found)
        return found

    return kernel


def _shifted(constraints: Constraints, level: float) -> Constraints:
    if isinstance(constraints, StemConstraints):
        return constraints.shifted(level)
    return ShiftedConstraints(inner=constraints, level=level)


@dataclass(frozen=True, eq=False)
class LevelRegion:
    """The latents whose scaled margins reach a level.

    Attributes:
        constraints: of a region.
        level: of the smallest margin.
    """

    constraints: Constraints
    level: float

    def contains(self, z: Tensor) -> Tensor:
        """Say which latents (n, d) lie in it: bool (n,)."""
        return _smallest(self.constraints, z) >= self.level


def prior_draws(target: Any, n: int, rng: np.random.Generator) -> Float[Tensor, "n d"]:
    """Draw n latents of a target without its region, float32."""
    if hasattr(target, "low"):
        unit = torch.from_numpy(rng.random((n, target.d))).float()
        return target.low.float() + unit * (target.high - target.low).float()
    z = torch.from_numpy(rng.standard_normal((n, target.d))).float()
    return on_sphere(z, target.radius) if hasattr(target, "radius") else z


class _Climb:
    """One repetition: particles from the prior to the region."""

    def __init__(self, region: Contains, constraints: Constraints, factory: Factory, config: MassConfig) -> None:
        self.region, self.constraints, self.factory, self.config = region, constraints, factory, config
        self.log10, self.evaluations, self.is_complete = 0.0, 0, False
        self.latents = torch.zeros(0)

    def run(self, z: Float[Tensor, "n d"], rng: np.random.Generator) -> "_Climb":
        for _ in range(self.config.most_levels):
            level = self._level(z)
            kept = z[self.region.contains(z) if level >= 0 else _smallest(self.constraints, z) >= level]
            self.evaluations += len(z)
            if not len(kept):
                break
            self.log10 += math.log10(len(kept) / len(z))
            self.is_complete, self.latents = level >= 0, kept
            if self.is_complete:
                return self
            z = self._moved(kept, level, len(z), rng)
        self.latents = z[:0]
        return self

    def _level(self, z: Float[Tensor, "n d"]) -> float:
        """That the next region has: reached by the best particles; 0 where these are in the region itself."""
        n_kept = max(round(self.config.share * len(z)), 1)
        margins = _smallest(self.constraints, z).sort(descending=True).values
        return min(float(margins[n_kept - 1]), 0.0)

    def _moved(self, kept: Tensor, level: float, n: int, rng: np.random.Generator) -> Tensor:
        """As many particles as before, of the region of a level."""
        copies = np.concatenate([np.tile(np.arange(len(kept)), n // len(kept)), rng.permutation(len(kept))])[:n]
        z = kept[torch.from_numpy(copies)]
        kernel = self.factory(level)
        kernel.adapt(z, rng)  # its states are no draws: the step changed on the way
        moved = kernel.draw(z, self.config.moves, rng)[:, -1]
        self.evaluations += kernel.evaluations
        return moved


def _smallest(constraints: Constraints, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    return constraints.margins(z).amin(dim=1)


def _counted(n_inside: int, latents: Tensor, n: int) -> Mass:
    """The mass by draws of the prior, with Clopper and Pearson's interval."""
    from scipy import stats

    low = float(stats.beta.ppf(0.025, n_inside, n - n_inside + 1))
    high = 1.0 if n_inside == n else float(stats.beta.ppf(0.975, n_inside + 1, n - n_inside))
    ends = {"low": math.log10(low), "high": math.log10(high)}
    return Mass(log10=math.log10(n_inside / n), **ends, is_complete=True, evaluations=n, latents=latents)


def _half_width(logs: Float[np.ndarray, " n"]) -> float:
    """Of a 95 % interval of the mean, by Student's t."""
    from scipy import stats

    return float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
