# SPDX-License-Identifier: MIT
"""The size of a region: the probability that a draw of the prior lies in it.

In: a region and a latent space. Out: log10 of the mass with an interval. Where the mass is large draws of the prior are
counted. Elsewhere chains climb from the prior through a nest of regions m_k(z) / s_k >= level, each of which holds a
fixed share of the one before; all of their draws count (waste-free sequential Monte Carlo; Dau and Chopin 2022), and
there are as many as it takes for them to be worth a number of independent ones.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from egbas.errors import ConfigError
from egbas.latent import LatentSpace
from egbas.region import Region
from egbas.region.constraints import AffineConstraints, Constraints, JoinedConstraints, ShiftedConstraints
from egbas.region.intersection import parts_of
from egbas.region.stem_constraints import StemConstraints, constraints_of
from egbas.region.supporting import SupportingRegion
from egbas.samplers.contract import Progress
from egbas.samplers.flow import Flow
from egbas.samplers.hamiltonian import HamiltonianKernel
from egbas.samplers.hit_and_run import HitAndRunKernel
from egbas.samplers.independence import has_leaps
from egbas.samplers.normal_box import NormalBox, NormalConstraints, NormalRegion, is_wide
from egbas.samplers.reflection import ReflectionConfig, ReflectionKernel
from egbas.samplers.rejection import Draws
from egbas.samplers.target import Density, Gaussian, prior_target
from egbas.samplers.trajectories import Lengths
from egbas.samplers.walls import on_sphere

_PROBES = 256  # draws of the prior that give the deviations of the units
_TRIALS = 24  # chains that the step is adapted to
_PILOTS = 8  # flights side by side that say how long flights may be
_VALUES_AT_ONCE = 2**20  # of the prior's draws
_FEWEST_FOR_FLOW = 2  # draws for each coordinate, with which a covariance is worth more than none


@runtime_checkable
class Moves(Protocol):
    """A kernel, as far as chains in a nest need one; its settings are fixed."""

    @property
    def evaluations(self) -> int:
        """Latents whose membership was asked."""
        ...

    def draw(self, z: Tensor, n: int, rng: np.random.Generator) -> Tensor:
        """Draw the next n states."""
        ...


# Of a kernel for the region of a level, at 0 for the region itself; draws from there fix its settings.
Factory = Callable[[float, Tensor, np.random.Generator], Moves]


@dataclass(frozen=True, kw_only=True)
class MassConfig:
    """Settings of the measurement.

    Attributes:
        repetitions: independent ones, whose spread gives the interval; at least 2.
        first: draws of the prior in each repetition.
        chains: side by side in each region.
        share: of the draws that the next region keeps.
        effective: independent draws that those of a region must be worth.
        block: draws of each chain between two checks of what they are worth.
        most_draws: of each chain in a region.
        plain: draws of the prior that are counted first.
        plain_most: draws that are counted at most, as long as that many are expected to find ``enough``; a climb takes
            about as many evaluations, and each of them longer.
        plain_alone: draws that are counted where there is nothing but membership.
        enough: of them inside the region, with which that is the answer.
        max_evaluations: latents whose membership is asked at most, up to a block of draws for each repetition.
    """

    repetitions: int = 4
    first: int = 512
    chains: int = 48
    share: float = 0.25
    effective: int = 48
    block: int = 4
    most_draws: int = 16
    plain: int = 2048
    plain_most: int = 131_072
    plain_alone: int = 32_768
    enough: int = 50
    max_evaluations: int = 4_000_000

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.repetitions < 2 or self.chains < 8 or not 0 < self.share < 1:
            raise ConfigError(
                f"got {self.repetitions} repetitions of {self.chains} chains that keep {self.share}; expected at "
                "least 2 of at least 8, and a share between 0 and 1"
            )
        for name, value in vars(self).items():
            if name != "share" and value < 1:
                raise ConfigError(f"the measurement's {name} is {value}; it must be at least 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class Mass:
    """The mass of a region.

    Attributes:
        log10: of it; an upper bound where ``is_complete`` is False.
        low: lower end of a 95 % interval; -inf where ``is_complete`` is False.
        high: upper end.
        is_complete: whether the region was reached in every repetition.
        evaluations: latents whose membership was asked.
        latents: (n, d) draws inside the region, to start chains from.
        repetition: (n,) in which of the repetitions each was drawn.
    """

    log10: float
    low: float
    high: float
    is_complete: bool
    evaluations: int
    latents: Float[Tensor, "n d"]
    repetition: Int[Tensor, " n"]


def told_mass(mass: Mass) -> str:
    """Such as ``10^-17.2 [-17.5, -16.9]``."""
    if not mass.is_complete:
        return f"below 10^{mass.high:.1f}"
    return f"10^{mass.log10:.1f} [{mass.low:.1f}, {mass.high:.1f}]"


def mass_of(
    region: Region,
    start: Float[Tensor, " d"],
    latent: LatentSpace,
    rng: torch.Generator,
    *,
    config: MassConfig | None = None,
    progress: Progress | None = None,
) -> Mass:
    """Measure the prior mass of a region.

    Args:
        region: says which latents lie in it. Where it is no ``SupportingRegion`` and no intersection of such, draws of
            the prior are counted, and if none is inside the answer is an upper bound.
        start: the query.
        latent: the latent space.
        rng: a CPU generator, from which all draws follow.
        config: settings.
        progress: called with (repetitions done, of how many, text).
    """
    config = config or MassConfig()
    target = prior_target(latent, start)
    random = np.random.default_rng(int(torch.randint(2**63 - 1, (), generator=rng)))
    if isinstance(target, Density):
        return _plain(region, lambda n: latent.sample(n, rng), config)
    parts = [part for part in parts_of(region) if isinstance(part, SupportingRegion)]
    if len(parts) < len(parts_of(region)):
        return _plain(region, lambda n: prior_draws(target, n, random).to(start.device), config)
    probes = prior_draws(target, _PROBES, random)
    each = [constraints_of(part, probes) for part in parts]
    constraints = each[0] if len(each) == 1 else JoinedConstraints(parts=each)

    is_affine = isinstance(constraints, AffineConstraints)
    coordinates = NormalBox(target) if is_wide(target) and not is_affine and not has_leaps(target) else None
    if coordinates is not None:
        region, constraints = NormalRegion(region, coordinates), NormalConstraints(constraints, coordinates)
        target = Gaussian(target.d)

    def factory() -> Factory:
        if isinstance(constraints, AffineConstraints):
            return flight_levels(region, constraints, target)
        if has_leaps(target):
            return leap_levels(region, constraints, target)
        return reflection_levels(region, constraints, target)

    found = measure_mass(region, constraints, target, factory, random, config, progress)
    return found if coordinates is None else replace(found, latents=coordinates.out(found.latents).to(found.latents))


def measure_mass(  # noqa: PLR0913, PLR0917
    region: Region,
    constraints: Constraints,
    target: Any,
    factory: Callable[[], Factory],
    rng: np.random.Generator,
    config: MassConfig | None = None,
    progress: Progress | None = None,
) -> Mass:
    """Measure the mass of a region that has constraints.

    Args:
        region: says which latents lie in it.
        constraints: of the region; the smallest scaled margin tells the regions of the nest apart.
        target: the prior: ``Gaussian``, ``UniformBox`` (``low``, ``high``) or ``UniformSphere`` (``radius``).
        factory: makes, for each repetition, what makes the kernels of its levels, in order.
        rng: of all draws.
        config: settings.
        progress: see ``mass_of``.
    """
    config = config or MassConfig()
    counted = _plain(region, lambda n: prior_draws(target, n, rng), config, is_alone=False)
    if len(counted.latents) >= config.enough:
        return counted
    climbs: list[_Climb] = []
    most = (config.max_evaluations - counted.evaluations) // config.repetitions
    for number in range(config.repetitions):
        climb = _Climb(region, constraints, factory(), config, most)
        climbs.append(climb.run(prior_draws(target, config.first, rng), rng))
        if progress:
            progress(number + 1, config.repetitions, f"prior mass 10^{climb.log / math.log(10):.1f}")
    is_complete = all(climb.is_complete for climb in climbs)
    logs = np.array([climb.log for climb in climbs]) / math.log(10)
    centre = float(logs.mean() if is_complete else logs.max())
    half = _half_width(logs, [climb.variance for climb in climbs])
    return Mass(
        log10=centre,
        low=centre - half if is_complete else -math.inf,
        high=min(centre + half, 0.0),
        is_complete=is_complete,
        evaluations=counted.evaluations + sum(climb.evaluations for climb in climbs),
        latents=torch.cat([climb.latents for climb in climbs]).to(counted.latents),
        repetition=torch.cat(
            [torch.full((len(climb.latents),), number, dtype=torch.int64) for number, climb in enumerate(climbs)]
        ),
    )


def reflection_levels(
    region: Region, constraints: Constraints, target: Any, config: ReflectionConfig | None = None
) -> Factory:
    """Kernels of the return-map sampler, each of which begins with the step of the one before."""
    config = config or ReflectionConfig(rounds=1, steps=40, lengths=Lengths(shortest=1.0, longest=3.0))
    step = config.lengths.step

    def kernel(level: float, z: Tensor, rng: np.random.Generator) -> ReflectionKernel:
        nonlocal step
        around, walls = _at(region, constraints, level)
        settings = replace(config, lengths=replace(config.lengths, step=step))
        moves = ReflectionKernel(around, walls, target, settings)
        if len(z) >= _FEWEST_FOR_FLOW * z.shape[1] and z.shape[1] > 1:
            moves.flow = Flow.of_snapshots(z.double().numpy(), is_curved=moves.flow.is_curved)
        flow = moves.flow
        # The states that this leads to are no draws, since the step changed on the way: they are not used.
        moves.adapt(z[:_TRIALS], rng)
        moves.flow = flow
        step = moves.lengths.step
        return moves

    return kernel


def flight_levels(region: Region, constraints: AffineConstraints, target: Any) -> Factory:
    """Kernels of exact flights between the walls of each level."""

    def kernel(level: float, z: Tensor, rng: np.random.Generator) -> HamiltonianKernel:
        around, _ = _at(region, constraints, level)
        walls = constraints.weight, constraints.offset - min(level, 0.0)
        moves = HamiltonianKernel(around, walls, target)
        moves.adapt(z[:_PILOTS], rng)
        return moves

    return kernel


def leap_levels(region: Region, constraints: Constraints, target: Any) -> Factory:
    """Kernels of hit-and-run in few dimensions: the draws that the level begins with say where to leap."""

    def kernel(level: float, z: Tensor, _: np.random.Generator) -> HitAndRunKernel:
        moves = HitAndRunKernel(_at(region, constraints, level)[0], target)
        moves.fit(z.numpy(force=True).astype(np.float64))
        return moves

    return kernel


def _at(region: Region, constraints: Constraints, level: float) -> tuple[Region, Constraints]:
    """The region of a level, and its constraints."""
    if level >= 0:
        return region, constraints
    if isinstance(constraints, NormalConstraints):
        inner = _at(region, constraints.constraints, level)
        return NormalRegion(inner[0], constraints.coordinates), NormalConstraints(inner[1], constraints.coordinates)
    around = LevelRegion(constraints, level)
    if isinstance(constraints, StemConstraints):
        return around, constraints.shifted(level)
    return around, ShiftedConstraints(inner=constraints, level=level)


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
    drawn = torch.empty(n, target.d, dtype=torch.float32)
    for rows in drawn.split(max(1, _VALUES_AT_ONCE // target.d)):  # the generator's numbers take twice the memory
        rows.copy_(
            torch.from_numpy(rng.random(rows.shape) if hasattr(target, "low") else rng.standard_normal(rows.shape))
        )
    if hasattr(target, "low"):
        return target.low.float() + drawn * (target.high - target.low).float()
    return on_sphere(drawn, target.radius) if hasattr(target, "radius") else drawn


class _Climb:
    """One repetition: chains from the prior to the region."""

    def __init__(
        self, region: Region, constraints: Constraints, factory: Factory, config: MassConfig, most: int
    ) -> None:
        self.region, self.constraints, self.factory, self.config = region, constraints, factory, config
        self.log, self.variance, self.evaluations, self.is_complete = 0.0, 0.0, 0, False
        self.latents = torch.zeros(0, dtype=torch.float32)
        self._most = most

    def run(self, z: Float[Tensor, "n d"], rng: np.random.Generator) -> "_Climb":
        draws, level, before = z[:, None], -math.inf, -math.inf
        margins = self._margins(draws)
        self.latents = z[:0]
        while True:
            level = self._level(margins)
            is_kept = margins >= level
            if level >= 0:
                is_kept = self.region.contains(draws.flatten(0, 1)).view(margins.shape)
            if not bool(is_kept.any()):
                return self
            share = float(is_kept.double().mean())
            self.log += math.log(share)
            self.variance += _variance(is_kept) / share**2
            kept = draws[is_kept]
            if level >= 0:
                self.is_complete, self.latents = True, kept
                return self
            if self.evaluations >= self._most or level <= before:  # spent, or no draw has come any further
                return self
            before = level
            draws, margins = self._drawn(kept[torch.from_numpy(rng.permutation(len(kept)))], level, rng)

    def _level(self, margins: Float[Tensor, "chains n"]) -> float:
        """That the next region has: reached by the best draws; 0 where these are in the region itself."""
        n_kept = max(round(self.config.share * margins.numel()), 1)
        return min(float(margins.flatten().sort(descending=True).values[n_kept - 1]), 0.0)

    def _drawn(self, kept: Tensor, level: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draws (chains, n, d) of the region of a level, and their smallest margins."""
        config = self.config
        kernel = self.factory(level, kept, rng)
        z = kept[torch.arange(config.chains) % len(kept)]
        blocks: list[Tensor] = []
        margins = torch.zeros(config.chains, 0, dtype=torch.float32)
        evaluations = self.evaluations
        while margins.shape[1] < config.most_draws:
            blocks.append(kernel.draw(z, config.block, rng))
            z = blocks[-1][:, -1]
            margins = torch.cat([margins, self._margins(blocks[-1])], dim=1)
            evaluations += blocks[-1].shape[0] * config.block
            if evaluations + kernel.evaluations >= self._most:
                break
            if _effective(margins >= self._level(margins)) >= config.effective:
                break
        self.evaluations = evaluations + kernel.evaluations
        return torch.cat(blocks, dim=1), margins

    def _margins(self, draws: Float[Tensor, "chains n d"]) -> Float[Tensor, "chains n"]:
        return _smallest(self.constraints, draws.flatten(0, 1)).view(draws.shape[:2])


def _variance(inside: Bool[Tensor, "chains n"]) -> float:
    """Of the share of all draws, by the spread of the chains'."""
    return float(inside.double().mean(dim=1).var() / len(inside))


def _effective(inside: Bool[Tensor, "chains n"]) -> float:
    """How many independent draws would tell the share as well."""
    share = float(inside.double().mean())
    return share * (1 - share) / max(_variance(inside), 1e-12)


def _plain(region: Region, draws: Draws, config: MassConfig, *, is_alone: bool = True) -> Mass:
    """By membership; given up, where that is not all there is, as soon as too few draws are inside."""
    n = n_inside = 0
    inside: list[Tensor] = []
    most = min(config.plain_alone if is_alone else config.plain_most, config.max_evaluations)
    while n < most and n_inside < config.enough:
        z = draws(min(config.plain, most - n))
        inside.append(z[region.contains(z)])
        n, n_inside = n + len(z), n_inside + len(inside[-1])
        if not is_alone and n_inside * most < config.enough * n:
            break
    return _counted(n_inside, torch.cat(inside), n)


def _smallest(constraints: Constraints, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    return constraints.margins(z).amin(dim=1)


def share_interval(n_inside: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a share of which n draws were counted (Clopper and Pearson 1934).

    Args:
        n_inside: draws that count.
        n: all draws, at least 1.
    """
    from scipy import stats

    low = 0.0 if n_inside == 0 else float(stats.beta.ppf(0.025, n_inside, n - n_inside + 1))
    return low, 1.0 if n_inside == n else float(stats.beta.ppf(0.975, n_inside + 1, n - n_inside))


def _counted(n_inside: int, latents: Tensor, n: int) -> Mass:
    """The mass by draws of the prior that were counted."""
    least, most = share_interval(n_inside, n)
    high = math.log10(most)
    low, centre = (math.log10(least), math.log10(n_inside / n)) if n_inside else (-math.inf, high)
    return Mass(
        log10=centre,
        low=low,
        high=high,
        is_complete=n_inside > 0,
        evaluations=n,
        latents=latents,
        repetition=torch.zeros(len(latents), dtype=torch.long),
    )


def _half_width(logs: Float[np.ndarray, " n"], variances: list[float]) -> float:
    """Of a 95 % interval of the mean: by Student's t, or by the spread of chains within repetitions if that is wider.

    Chance makes few repetitions agree; chains that have not forgotten where they began agree within a repetition.
    """
    from scipy import stats

    between = float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
    within = float(stats.norm.ppf(0.975)) * math.sqrt(sum(variances)) / len(logs) / math.log(10)
    return max(between, within)
