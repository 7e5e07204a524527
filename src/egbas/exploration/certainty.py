# SPDX-License-Identifier: MIT
"""How much of an answer hangs on BerOpt's random masks: the same query again and again, with other masks.

In: the sets that BerOpt found, and what exact samples of their regions showed. Out: how often each unit is selected,
how alike the regions and the freedom maps are, and freedom with an interval over the sets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egbas.beropt import BerOptResult
from egbas.exploration.deviation import deviation_of, shown_of
from egbas.exploration.facts import HELD_SHARE, Facts, draws_for_deviation, prior_draws
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.region import SupportingRegion
from egbas.samplers.chains import CONVERGED, Chains

_OF_PRIOR = 2000  # draws that tell how many boundaries the prior keeps
_LEVEL = 0.95  # of the interval


@dataclass(frozen=True, kw_only=True, eq=False)
class Repeat:
    """What one seed of BerOpt led to.

    Attributes:
        seed: of the masks and the chains.
        beropt: the supporting set.
        region: of the set.
        exact: samples of the prior in the region; None where none were drawn.
        facts: what they say; None likewise.
        log10_mass: of the region; None where it was not measured.
    """

    seed: int
    beropt: BerOptResult
    region: SupportingRegion
    exact: Chains | None
    facts: Facts | None
    log10_mass: float | None

    def row(self) -> dict[str, Any]:
        """As ``metrics.json`` holds it."""
        return {
            "seed": self.seed,
            "units": len(self.beropt.units),
            "error": self.beropt.fidelity,
            "freedom": None if self.facts is None else self.facts.mean,
            "status": None if self.exact is None else self.exact.status,
            "log10_mass": self.log10_mass,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """How alike the answers of different sets are, over all pairs of them.

    Attributes:
        freedom: (c, h, w) float32, the mean of the freedom maps; NaN where the prior hardly deviates.
        mean: of freedom, over the sets.
        low: lower end of its 95 % interval over the sets (Student's t).
        high: upper end.
        least: the smallest freedom of a set.
        most: the largest.
        map_correlation: of the freedom maps of two sets.
        map_ceiling: that of two runs of one set, as halves of the samples foretell (Spearman and Brown): sampling
            alone keeps the maps that far apart. None where samples are too few, or images too large to look at all.
        shared: share of the kept boundaries of one set that samples of another's region have on the query's side.
        shared_prior: the same of draws of the prior: what chance gives.
        inside: share of the samples of one region that lie in another.
    """

    freedom: Float[Tensor, "..."]
    mean: float
    low: float
    high: float
    least: float
    most: float
    map_correlation: float | None
    map_ceiling: float | None
    shared: float
    shared_prior: float
    inside: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Certainty:
    """How much of an answer hangs on BerOpt's random masks.

    Attributes:
        rows: of each seed, the run's own first: seed, units, error, freedom, status, log10_mass.
        frequency: (units,) float32, the share of the seeds that select each unit.
        core: (n,) int64, the units that all of them select.
        jaccard: mean over pairs of sets of the units in both through the units in either.
        jaccard_chance: that of random sets of these sizes among the active units.
        agreement: of regions and maps; None where a set has no exact samples.
    """

    rows: tuple[dict[str, Any], ...]
    frequency: Float[Tensor, " units"]
    core: Int[Tensor, " n"]
    jaccard: float
    jaccard_chance: float
    agreement: Agreement | None

    @property
    def repeats(self) -> int:
        """How many seeds there are."""
        return len(self.rows)

    @property
    def unconverged(self) -> int:
        """How many of the seeds have chains that did not converge."""
        return sum(row["status"] not in (None, CONVERGED) for row in self.rows)

    @property
    def sentence(self) -> str:
        """All of it in words."""
        sets = (
            f"{self.repeats} seeds of BerOpt: two sets share {self.jaccard:.0%} of their units "
            f"(chance: {self.jaccard_chance:.0%}); all of them keep {len(self.core):,}."
        )
        one = self.agreement
        if one is None:
            return sets
        maps = "" if one.map_correlation is None else f" Their freedom maps correlate by {one.map_correlation:.2f}"
        ceiling = "" if one.map_ceiling is None else f" (two runs of one set: {one.map_ceiling:.2f})"
        return (
            f"{sets} Freedom over the sets is {one.mean:.2f} [{one.low:.2f}, {one.high:.2f}], from {one.least:.2f} to "
            f"{one.most:.2f}.{maps}{ceiling}{'.' if maps else ''} Samples of one region keep {one.shared:.1%} of the "
            f"boundaries of another (the prior: {one.shared_prior:.0%}).{self._doubt}"
        )

    @property
    def _doubt(self) -> str:
        n = self.unconverged
        return f" The chains of {n} of {self.repeats} seeds did not converge: part of this is noise." if n else ""

    def record(self) -> dict[str, Any]:
        """As ``metrics.json`` holds it."""
        one = self.agreement
        numbers = () if one is None else tuple(name for name in vars(one) if name != "freedom")
        return {
            "repeats": self.repeats,
            "core": len(self.core),
            "jaccard": self.jaccard,
            "jaccard_chance": self.jaccard_chance,
            "agreement": None if one is None else {name: getattr(one, name) for name in numbers},
            "rows": list(self.rows),
        }


def certainty_of(
    repeats: Sequence[Repeat],
    active: int,
    network: Network,
    latent: LatentSpace,
    query: Float[Tensor, " d"],
    *,
    rng: torch.Generator,
) -> Certainty:
    """Compare what BerOpt's seeds led to.

    Args:
        repeats: at least two, the run's own first.
        active: units of the layer that are active at the query, from which sets are made.
        network: the generator.
        latent: the latent space.
        query: z0.
        rng: of the prior's draws.
    """
    kept = torch.stack([torch.zeros_like(one.beropt.theta).index_fill(0, one.beropt.units, 1) for one in repeats]) > 0
    pairs = list(combinations(range(len(repeats)), 2))
    both = [(int((kept[i] & kept[j]).sum()), int((kept[i] | kept[j]).sum())) for i, j in pairs]
    return Certainty(
        rows=tuple(one.row() for one in repeats),
        frequency=kept.float().mean(dim=0),
        core=kept.all(dim=0).nonzero()[:, 0],
        jaccard=_mean([common / either for common, either in both]),
        jaccard_chance=_mean([_chance(int(kept[i].sum()), int(kept[j].sum()), active) for i, j in pairs]),
        agreement=_agreement(repeats, network, latent, query, rng),
    )


def _chance(n: int, m: int, active: int) -> float:
    """Jaccard index that random sets of n and m units among the active ones have, near enough."""
    common = n * m / active
    return common / (n + m - common)


def _agreement(
    repeats: Sequence[Repeat], network: Network, latent: LatentSpace, query: Tensor, rng: torch.Generator
) -> Agreement | None:
    drawn = [one.exact for one in repeats if one.exact is not None and one.facts is not None]
    means = torch.tensor([one.facts.mean for one in repeats if one.facts is not None], dtype=torch.float64)
    if len(drawn) < len(repeats):
        return None
    beside = prior_draws(latent, query, _OF_PRIOR, rng)
    image = network.generate(query[None])[0].cpu()
    shown = max(shown_of(network, len(chains.latents)) for chains in drawn)
    prior = deviation_of(network, draws_for_deviation(network, latent, query, shown), image, correction=1)
    is_free = prior >= HELD_SHARE * prior.max()
    maps = torch.stack([deviation_of(network, chains.latents, image, correction=1) / prior for chains in drawn])
    reliable = [_reliability(network, chains, image, prior, is_free) for chains in drawn]
    pairs = list(combinations(range(len(repeats)), 2))
    ordered = list(permutations(range(len(repeats)), 2))
    shares = {(i, j): repeats[j].region.shared(drawn[i].latents.to(_device(repeats[j]))) for i, j in ordered}
    width = student_t(len(repeats)) * float(means.std()) / math.sqrt(len(repeats))
    return Agreement(
        freedom=torch.where(is_free, maps.mean(dim=0), torch.nan).float(),
        mean=float(means.mean()),
        low=max(0.0, float(means.mean()) - width),
        high=float(means.mean()) + width,
        least=float(means.min()),
        most=float(means.max()),
        map_correlation=_known([_correlation(maps[i], maps[j], is_free) for i, j in pairs]),
        map_ceiling=_known([_geometric_mean(reliable[i], reliable[j]) for i, j in pairs]),
        shared=_mean([float(share.mean()) for share in shares.values()]),
        shared_prior=_mean([float(one.region.shared(beside.to(_device(one))).mean()) for one in repeats]),
        inside=_mean([float((share == 1).double().mean()) for share in shares.values()]),
    )


def _device(one: Repeat) -> torch.device:
    return one.region.split.device


def _halves(chains: Chains) -> tuple[Tensor, Tensor]:
    """The draws of every other chain: halves in time would share where each chain is, as two runs do not."""
    _, number = chains.chain.unique(return_inverse=True)
    return chains.latents[number % 2 == 0], chains.latents[number % 2 == 1]


def _correlation(one: Tensor, other: Tensor, where: Tensor) -> float | None:
    """Pearson's, over the pixels that are compared; None where these are too few or do not differ."""
    both = torch.stack([one[where], other[where]])
    if both.shape[1] < 2 or not bool((both.std(dim=1) > 0).all()):
        return None
    return float(torch.corrcoef(both)[0, 1])


def _reliability(network: Network, chains: Chains, image: Tensor, prior: Tensor, where: Tensor) -> float | None:
    """What maps of two runs of one set correlate by, from halves of one (Spearman and Brown); None where those fail."""
    if len(chains.latents) > shown_of(network, len(chains.latents)):
        return None  # of so many draws only some are looked at, in halves as in the whole
    first, second = (deviation_of(network, part, image, correction=1) / prior for part in _halves(chains))
    halves = _correlation(first, second, where)
    return None if halves is None or halves <= 0 else 2 * halves / (1 + halves)


def _geometric_mean(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else math.sqrt(one * other)


def student_t(n: int) -> float:
    """How many standard errors the 95 % interval of the mean of n values reaches to either side (Student's t)."""
    from scipy.stats import t

    return float(t.ppf((1 + _LEVEL) / 2, n - 1))


def _known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
