# SPDX-License-Identifier: MIT
"""Exact samples of a region: the prior, or the uniform distribution, restricted to it.

In: a region, a query in it, a latent space. Out: draws of many chains that agree, or the word that they do not. The
kernel follows from what the region offers; when to stop follows from the draws alone, so that the same seed gives the
same samples.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from egbas.errors import ConfigError, StartOutsideRegionError
from egbas.latent import LatentSpace, Uniform
from egbas.region import Region
from egbas.samplers.chains import CONVERGED, NOT_CONVERGED, Chains, Fact, History, draws_take, room_within_budget
from egbas.samplers.contract import Progress
from egbas.samplers.diagnostics import LARGEST_R_HAT, Diagnostics, diagnose, diagnose_series, r_hat_between
from egbas.samplers.hamiltonian import HamiltonianKernel
from egbas.samplers.hit_and_run import HitAndRunKernel
from egbas.samplers.kernel import Kernel, LinearRegion
from egbas.samplers.mass import prior_draws
from egbas.samplers.rejection import Draws, as_chains, independent_draws
from egbas.samplers.target import Density, Target, UniformBox, UniformSphere, prior_target, uniform_target
from egbas.samplers.walls import on_sphere

KernelFactory = Callable[[Region, Target, int], Kernel | None]
Starts = Callable[[Region, Target, Tensor], Tensor]
Series = Callable[[Tensor], Tensor]

_MOST = 1_000_000  # draws, and chains
_NEARLY = 1.1  # R-hat of chains that agree well enough to say that others do not agree with them
_FEWEST = 16  # recent draws of each chain, without which nothing is said
_FEW_CHAINS, _MANY_CHAINS, _FEW_SAMPLES = 16, 32, 200
_FIRST_CHECK, _GROWTH = 8, 1.25  # draws of each chain at the first check, and from one check to the next
_AT_ONCE = 16  # draws of each chain between two checks of what has been spent
_ROOM = 128  # draws of each chain that are kept at most, or ...
_SPARE = 8  # ... so many times those that are wanted
_LEAST_ROOM, _LEAST_SPARE = 48, 2  # the same, where these would take more memory than there is for them
_GIVEN = 4  # times the draws that are wanted are handed over, evenly from those that are kept
_TRIED, _SHORTER = 64, (0.25, 0.5, 0.75)  # latents that are asked about at other lengths, and parts of their own
_SERIES_DRAWS = 16  # of each chain, of which further series are asked at most: images take long


@dataclass(frozen=True, kw_only=True)
class ExactConfig:
    """Settings of the exact samplers.

    Attributes:
        samples: effective draws wanted. 1 to 1,000,000.
        max_evaluations: latents whose membership is asked at most; some thousands are needed for any answer.
        n_chains: chains side by side, >= 4; None: 16, or 32 where more than 200 draws are wanted.
        half_width: of the box of the uniform distribution, in latent units; None: the largest the latent space has.
    """

    samples: int = 100
    max_evaluations: int = 2_000_000
    n_chains: int | None = None
    half_width: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, least, most in (("samples", 1, _MOST), ("max_evaluations", 1, 10**12), ("n_chains", 4, _MOST)):
            if getattr(self, name) is not None and not least <= getattr(self, name) <= most:
                raise ConfigError(
                    f"the exact samplers' {name} is {getattr(self, name)}; it must be from {least} to {most:,}"
                )
        if self.half_width is not None and not (math.isfinite(self.half_width) and self.half_width > 0):
            raise ConfigError(f"the exact samplers' half_width is {self.half_width}; it must be positive, or None")

    @property
    def chains(self) -> int:
        """How many chains there are: many cost more to warm up, and less for each draw afterwards."""
        return self.n_chains or (_FEW_CHAINS if self.samples <= _FEW_SAMPLES else _MANY_CHAINS)

    def room(self, d: int) -> int:
        """Draws of each chain that are kept at most.

        Args:
            d: coordinates of a draw.

        Raises:
            ConfigError: the fewest with which the chains can converge take more memory than there is for them.
        """
        wanted = max(_ROOM, _SPARE * self.samples // self.chains)
        fewest = max(_LEAST_ROOM, math.ceil(_LEAST_SPARE * self.samples / self.chains))
        return room_within_budget(wanted, fewest, self.chains, d)

    def memory(self, d: int) -> int:
        """Bytes that the draws of all chains take at most, with the copies that are made to look at them.

        Args:
            d: coordinates of a draw.

        Raises:
            ConfigError: as ``room`` does.
        """
        return draws_take(self.room(d), self.chains, d)

    def given(self, d: int) -> int:
        """Draws of each chain that are handed over at most."""
        return min(math.ceil(_GIVEN * self.samples / self.chains), self.room(d))


@dataclass(frozen=True, kw_only=True)
class ExactSampler(ABC):
    """Chains that leave a distribution, restricted to a region, as it is, until they agree.

    Attributes:
        config: the settings.
        reflection: called with a region, the target, and how many latents may be asked about, gives a kernel for a
            region that has constraints; None, or where it gives None: membership is enough.
        starts: called with a region, the target and latents (n, d), brings these into the region; half of the chains
            start so. What it leaves outside is not used.
            None: all chains start from the query.
        independent: whether draws of the target that fall into the region are taken instead of chains, where enough do
            (about one in 32) and the region is no polytope: they are independent.
        name: what the samples are called in an exploration.
        series: further functions of latents, (n, d) to (n,), that have to agree among the chains, by name; asked only
            once the coordinates do, on the device of the query.
    """

    name: str = "exact"
    config: ExactConfig = field(default_factory=ExactConfig)
    reflection: KernelFactory | None = None
    starts: Starts | None = None
    independent: bool = False
    series: Mapping[str, Series] = field(default_factory=dict)

    @abstractmethod
    def target(self, latent: LatentSpace, query: Float[Tensor, " d"]) -> Target:
        """What is restricted to the region."""

    def sample(
        self,
        region: Region,
        start: Float[Tensor, " d"],
        latent: LatentSpace,
        rng: torch.Generator,
        progress: Progress | None = None,
    ) -> Chains:
        """Sample a region.

        Args:
            region: tells which latents are inside; where it has ``linear()``, that is used.
            start: the query, inside the region.
            latent: the latent space.
            rng: a CPU generator, from which the seed of the chains is drawn.
            progress: called with (effective draws so far, wanted, text).

        Raises:
            StartOutsideRegionError: the query lies outside the region or the target's support.
            ConfigError: the draws would take more memory than there is for them.
        """
        self.config.room(start.numel())
        target = self.target(latent, start)
        if not bool(region.contains(start[None])) or not bool(target.contains(start[None].cpu().double())):
            raise StartOutsideRegionError("the query lies outside the region or the support of the prior")
        seed = int(torch.randint(2**63 - 1, (), generator=rng))
        random = np.random.default_rng(seed)
        found, n_asked = self._independent(region, start, target, latent, seed, progress)
        if found is None:
            states, groups = self._beginning(region, start, target, latent, rng)
            if progress:
                progress(0, self.config.samples, "warming up")
            kernel = self._kernel(region, target, start.device)
            states = kernel.adapt(states, random)
            found = _Run(kernel, start, groups, self, progress, n_asked).until_converged(states, random)
        return _on_sphere(found, region, latent, start) if isinstance(target, UniformBox) else found

    def draws_of(self, target: Target, latent: LatentSpace, seed: int) -> Draws | None:
        """Independent draws of the target without a region; None where there are none."""
        random = np.random.default_rng([seed, 1])  # those of the chains stay what they are
        return None if isinstance(target, Density) else lambda n: prior_draws(target, n, random)

    def _independent(
        self,
        region: Region,
        query: Float[Tensor, " d"],
        target: Target,
        latent: LatentSpace,
        seed: int,
        progress: Progress | None,
    ) -> tuple[Chains | None, int]:
        """Independent draws, where the region holds enough of the target; and how many latents were asked about."""
        draws = self.draws_of(target, latent, seed) if self.independent else None
        if draws is None or (isinstance(region, LinearRegion) and region.linear() is not None):
            return None, 0
        config = self.config
        each = config.given(query.numel())
        found = independent_draws(
            region,
            draws,
            wanted=each * config.chains,
            most=config.max_evaluations,
            device=query.device,
            progress=progress,
        )
        if not found.is_enough:
            return None, found.evaluations
        return as_chains(found, samples=config.samples, n_chains=config.chains), found.evaluations

    def _kernel(self, region: Region, target: Target, device: torch.device) -> Kernel:
        """Flights between walls where there are walls, reflection where there are constraints, or else hit-and-run."""
        walls = region.linear() if isinstance(region, LinearRegion) else None
        if walls is not None and not isinstance(target, Density):
            return HamiltonianKernel(region, walls, target, device=device)
        most = self.config.max_evaluations
        kernel = self.reflection(region, target, most) if self.reflection else None
        return HitAndRunKernel(region, target, most=most, device=device) if kernel is None else kernel

    def _beginning(
        self,
        region: Region,
        query: Float[Tensor, " d"],
        target: Target,
        latent: LatentSpace,
        rng: torch.Generator,
    ) -> tuple[Float[Tensor, "chains d"], NDArray[np.int64]]:
        """States to start from, and the group of each chain: 0 from the query, 1 from the prior."""
        states = query.cpu().double().repeat(self.config.chains, 1)
        groups = np.zeros(self.config.chains, np.int64)
        if self.starts is None:
            return states, groups
        drawn = latent.sample(self.config.chains // 2, rng).double()
        if isinstance(target, UniformBox):  # the box need not be where the prior is
            low, high = target.low.cpu().double(), target.high.cpu().double()
            drawn = low + (high - low) * torch.rand(drawn.shape, generator=rng, dtype=torch.float64)
        brought = self.starts(region, target, drawn.to(query.device)).double()
        if isinstance(target, UniformSphere):
            brought = on_sphere(brought, target.radius)
        is_good = region.contains(brought).cpu() & target.contains(brought.cpu())
        n_good = int(is_good.sum())
        states[:n_good] = brought.cpu()[is_good]
        groups[:n_good] = 1
        return states, groups


@dataclass(frozen=True, kw_only=True)
class PriorSampler(ExactSampler):
    """The prior restricted to a region; its attributes are those of ``ExactSampler``."""

    name: str = "prior"

    def target(self, latent: LatentSpace, query: Float[Tensor, " d"]) -> Target:
        """The latent space's own distribution."""
        return prior_target(latent, query)

    def draws_of(self, target: Target, latent: LatentSpace, seed: int) -> Draws | None:
        """Those of the latent space, where its prior is known by a density."""
        rng = torch.Generator().manual_seed(seed)
        return (
            (lambda n: latent.sample(n, rng)) if isinstance(target, Density) else super().draws_of(target, latent, seed)
        )


@dataclass(frozen=True, kw_only=True)
class UniformSampler(ExactSampler):
    """The uniform distribution in a region and a box around the query, or on the sphere through the query.

    Its attributes are those of ``ExactSampler``.
    """

    name: str = "uniform"

    def target(self, latent: LatentSpace, query: Float[Tensor, " d"]) -> Target:
        """Uniform in the box within the prior's support, or on the sphere."""
        return uniform_target(latent, query, self.config.half_width)


class _Run(NamedTuple):
    """Chains on their way."""

    kernel: Kernel
    query: Float[Tensor, " d"]
    groups: NDArray[np.int64]
    sampler: ExactSampler
    progress: Progress | None
    n_asked: int  # latents, before the kernel asked about any

    def until_converged(self, states: Float[Tensor, "chains d"], random: np.random.Generator) -> Chains:
        """Draw, check, and draw on until the chains agree or the evaluations are spent."""
        config, check = self.sampler.config, _FIRST_CHECK
        history = History(config.room(states.shape[1]))
        n, left = _FIRST_CHECK, 0
        while True:
            before = self.kernel.evaluations
            draws = self.kernel.draw(states, n, random)
            if not history.seen and not draws.shape[1]:
                draws = states[:, None]  # nothing else is there to show
            history.add(draws)
            is_spent = draws.shape[1] < n
            # In whole draws: what the last ones took says how many more there may be.
            each = max(1, self.kernel.evaluations - before)
            left = 0 if is_spent else (config.max_evaluations - self.kernel.evaluations) * n // each
            states = draws[:, -1].clone() if draws.shape[1] else states
            if history.seen >= check or left < 1:
                diagnosed = self._diagnose(history.recent())
                if self.progress:
                    self.progress(int(min(diagnosed.ess, config.samples)), config.samples, diagnosed.text)
                if self._has_converged(diagnosed) or left < 1:
                    return self._chains(history, diagnosed)
                check = math.ceil(_GROWTH * history.seen)
            n = min(_AT_ONCE, check - history.seen, left)

    def _diagnose(self, draws: Float[Tensor, "chains n d"]) -> Diagnostics:
        diagnosed = diagnose(draws, self.query)
        if not self.sampler.series or not self._has_converged(diagnosed):
            return diagnosed
        some = draws[:, _spread(draws.shape[1], _SERIES_DRAWS)]
        flat = some.reshape(-1, draws.shape[2]).to(self.query.device)
        extra = {name: of(flat).reshape(some.shape[:2]) for name, of in self.sampler.series.items()}
        further = diagnose_series(extra, n_chains=draws.shape[0])
        return diagnosed if further is None or further.r_hat <= diagnosed.r_hat else further

    def _has_converged(self, diagnosed: Diagnostics) -> bool:
        return (
            diagnosed.n_draws >= _FEWEST
            and diagnosed.r_hat <= LARGEST_R_HAT
            and diagnosed.ess >= self.sampler.config.samples
        )

    def _chains(self, history: History, diagnosed: Diagnostics) -> Chains:
        draws = history.recent()
        n_chains, n, d = draws.shape
        between, *within = self._agreement(draws)
        given = draws[:, _spread(n, self.sampler.config.given(d))]
        facts: dict[str, Fact] = {
            "kernel": type(self.kernel).__name__,
            "r_hat": _told(diagnosed.r_hat),
            "ess": diagnosed.ess,
            "slowest": diagnosed.worst,
            "chains": n_chains,
            "draws_looked_at": n,
            "chains_from_prior": int(self.groups.sum()),
            "draws_per_chain": history.seen,
            "stride": history.stride,
            "r_hat_between_starts": between,
            "r_hat_of_query_chains": within[0],
            "r_hat_of_prior_chains": within[1],
            "refusals": getattr(self.kernel, "refusals", None),
        }
        has_converged = self._has_converged(diagnosed)
        return Chains(
            latents=given.reshape(-1, d),
            chain=torch.arange(n_chains).repeat_interleave(given.shape[1]),
            status=CONVERGED if has_converged else NOT_CONVERGED,
            sentence=self._sentence(diagnosed, between, within),
            evaluations=self.kernel.evaluations + self.n_asked,
            diagnostics=diagnosed,
            facts=facts,
        )

    def _agreement(self, draws: Float[Tensor, "chains n d"]) -> tuple[float | None, float | None, float | None]:
        """R-hat between the groups of chains, and within each; None where there is one group."""
        if not 0 < self.groups.sum() < len(self.groups):
            return None, None, None
        query, prior = (diagnose(draws[self.groups == group], self.query).r_hat for group in (0, 1))
        return _told(r_hat_between(draws, self.groups)), _told(query), _told(prior)

    def _sentence(self, diagnosed: Diagnostics, between: float | None, within: list[float | None]) -> str:
        told = f"{diagnosed.text} of {self.sampler.config.samples} wanted"
        if self._has_converged(diagnosed):
            return f"The chains agree: {told}."
        text = f"Not converged after {self.kernel.evaluations:,} evaluations: {told}; slowest is {diagnosed.worst}."
        # From the query they agree, so that what the others found is not reached from there.
        if stay_apart(between, within[0]):
            return (
                f"{text} Chains from the query and from the prior stay apart (R-hat {between:.2f} between them): the "
                "region may have parts that no chain has crossed between, and the share of draws in each is not its "
                "share of the region."
            )
        if diagnosed.n_draws < _FEWEST:
            text = f"{text} Each chain gave {diagnosed.n_draws} draws, of at least {_FEWEST} that are needed."
        return f"{text} Raise max_evaluations."


def _on_sphere(chains: Chains, region: Region, latent: LatentSpace, query: Float[Tensor, " d"]) -> Chains:
    """Draws of a uniform prior, on the sphere through the query where the latent space has that geometry.

    Directions of a box are not uniform, so that they are drawn in the box. In a region that asks for directions alone
    they keep them, and lie on the sphere as the tree does. Any other region may end on the way there.
    """
    if latent.geometry != "sphere" or not isinstance(getattr(latent, "prior", None), Uniform):
        return chains
    placed = on_sphere(chains.latents, float(query.double().norm()))
    if bool(region.contains(placed.to(query.device)).all()) and _asks_for_directions(region, latent, chains, query):
        return replace(chains, latents=placed)
    text = "They lie in the box of the uniform prior, not on the sphere: the region depends on a latent's length."
    return replace(chains, sentence=f"{chains.sentence} {text}")


def _asks_for_directions(region: Region, latent: LatentSpace, chains: Chains, query: Float[Tensor, " d"]) -> bool:
    """Whether some latents, inside and outside, are on the same side at other lengths: at the query's and at shorter.

    All draws may be inside on the sphere although a region asks for lengths, where it is wider there. Shorter ones
    stay in the prior's box.
    """
    some = chains.latents[_spread(len(chains.latents), _TRIED)]
    beside = latent.sample(_TRIED, torch.Generator().manual_seed(0)).to(some)
    z = torch.cat([some, beside]).to(query.device)
    lengths = [on_sphere(z, float(query.double().norm())), *(share * z for share in _SHORTER)]
    inside = region.contains(z)
    return all(bool((region.contains(other) == inside).all()) for other in lengths)


def stay_apart(between: float | None, within: float | None) -> bool:
    """Whether chains from the query agree with each other, and not with those from the prior.

    Args:
        between: R-hat between the two; None where it is not known.
        within: R-hat of the chains from the query alone.
    """
    if between is None or within is None:
        return False
    return within <= _NEARLY and between > max(LARGEST_R_HAT, within)


def _spread(n: int, count: int) -> list[int]:
    """At most so many of n positions, evenly, the last among them."""
    count = min(n, count)
    return [(i + 1) * n // count - 1 for i in range(count)]


def _told(r_hat: float) -> float | None:
    """R-hat as JSON can hold it; None where it cannot be told."""
    return r_hat if math.isfinite(r_hat) else None
