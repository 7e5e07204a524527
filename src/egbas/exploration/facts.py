# SPDX-License-Identifier: MIT
"""What exact samples say of a region: how free each pixel is, and how far images lie from the query's.

In: a network, a query, exact samples of the region. Out: freedom and distance, each with an interval or quantiles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.exploration.deviation import PixelSums, draws_of_prior, shown_of
from egbas.exploration.judges import Features, Judge, Panel, Score
from egbas.exploration.words import areas_of, sentence_of
from egbas.latent import LatentSpace, Normal
from egbas.network import Network
from egbas.network.kinds import kind_of
from egbas.samplers.chains import Chains

HELD_SHARE = 0.01  # of the largest deviation over the prior: pixels that deviate less there have no freedom
_N_RESAMPLES, _N_PIXELS = 1000, 4096  # of the bootstrap; so many pixels, drawn at random, tell its width
_GROUPS = 200  # of the prior's draws, that are resampled whole: single draws would take the memory of all of them
_SEED_OF_PRIOR = 0  # the deviation over the prior is the network's, and the same for every run
_FEW = 16  # samples, below which neither interval nor words mean anything
_LEAST_SHARE = 0.9  # of the resamples that must have a freedom, for their quantiles to be an interval
_QUANTILES = (0.05, 0.5, 0.95)
_NOUNS = {"image": "image", "frames": "image", "signal": "signal", "vector": "vector"}


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Quantiles of ||G(z) - G(z0)|| / ||G(z0)|| over a region; the last is Definition 6's delta, as achieved."""

    q05: float
    q50: float
    q95: float


@dataclass(frozen=True, kw_only=True)
class Within:
    """The coarsest level whose region stays within a distance, and how it was found.

    Attributes:
        delta: the distance, relative to the norm of the query's image.
        level: at which 95 % of the images lie within it.
        reached: of each level that was asked, the distance within which 95 % of the images lie.
        unconverged: the levels of these whose samples did not converge.
    """

    delta: float
    level: int
    reached: Mapping[int, float]
    unconverged: tuple[int, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be known of a level that was chosen so."""
        if not self.unconverged:
            return ()
        levels = " and ".join(map(str, self.unconverged))
        return (
            f"The level was chosen for --delta {self.delta:g} with samples that did not converge (at level {levels}): "
            "another may be the coarsest. Allow more evaluations to be sure.",
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Facts:
    """What exact samples say of a region.

    Attributes:
        freedom: (c, h, w), float32: of each pixel its deviation over the region divided by that over the prior; 0 is
            held, 1 as free as ever, NaN where the prior's deviation is below a hundredth of the largest.
        mean: summed deviation over the region through summed deviation over the prior.
        low: lower end of a 95 % interval of the mean; None where samples are too few, or change too seldom, for one.
        high: upper end; None likewise.
        distance: of images from the query's.
        prior_deviation: mean deviation of a pixel over the prior, in pixel units.
        scores: what judges say, by the score's name.
        focus: freedom of the part of the image that BerOpt looked at, and of the rest, each None where no pixel changes
            over the prior; None without a focus.
        feature_distance: as ``distance``, in the features that were asked for; None without.
        words: what is held and what is free, in a sentence; empty where there is nothing to say, or few samples.
    """

    freedom: Float[Tensor, "..."]
    mean: float
    low: float | None
    high: float | None
    distance: Distance
    prior_deviation: float
    scores: Mapping[str, Score] = field(default_factory=dict)
    focus: tuple[float | None, float | None] | None = None
    feature_distance: Distance | None = None
    words: str = ""

    @property
    def interval(self) -> str:
        """The 95 % interval of the mean, such as ``[0.42, 0.51]``; ``(no interval: too few samples)`` without one."""
        return "(no interval: too few samples)" if self.low is None else f"[{self.low:.2f}, {self.high:.2f}]"

    @property
    def of_focus(self) -> tuple[str, str] | None:
        """Freedom in the focus and around it, in words; None without a focus."""
        if self.focus is None:
            return None
        inside, outside = ("unknown (no pixel changes)" if one is None else f"{one:.2f}" for one in self.focus)
        return inside, outside


def facts_of(  # noqa: PLR0913
    network: Network,
    latent: LatentSpace,
    query: Float[Tensor, " d"],
    chains: Chains,
    *,
    rng: torch.Generator,
    judges: Sequence[Judge] = (),
    features: Features | None = None,
    focus: Tensor | None = None,
) -> Facts | None:
    """Compute the facts of a region; None where there are no samples, or nothing to compare with.

    There is nothing to compare with where images do not differ over the prior, or the query's is zero everywhere.

    Args:
        network: the generator.
        latent: the latent space; ``draws_of_prior`` says how many draws of its prior are taken, the same in every run.
        query: z0.
        chains: exact samples of the prior in the region.
        rng: of the bootstrap.
        judges: further ones, beside brightness, contrast and colour.
        features: of images (n, c, h, w), one tensor for each; None: pixels alone.
        focus: (h, w) bool, the part of the image that BerOpt looked at.

    Raises:
        ConfigError: a judge or the features answer in another form.
    """
    n = shown_of(network, len(chains.latents))
    if n < 2:
        return None
    chosen = torch.arange(n) * len(chains.latents) // n
    query_image = network.generate(query[None])[0].cpu()
    if not bool(query_image.any()):
        return None
    size = query_image.numel()
    some = torch.arange(size) if size <= _N_PIXELS else torch.randperm(size, generator=rng)[:_N_PIXELS]
    look = _Look(query_image=query_image.double(), panel=Panel.of(judges, features, query_image), some=some)
    number = chains.chain[chosen].unique(return_inverse=True)[1]
    inside = look.at(network, chains.latents[chosen], number)
    drawn = draws_for_deviation(network, latent, query, n)
    group = torch.arange(len(drawn)) * min(_GROUPS, len(drawn)) // len(drawn)
    beside = look.at(network, drawn, group, judged=n)
    deviation, prior = inside.deviation, beside.deviation
    if not bool(prior.sum() > 0):
        return None
    freedom = torch.where(prior < HELD_SHARE * prior.max(), torch.nan, deviation / prior).float()
    mean = float(deviation.sum() / prior.sum())
    known = None if n < _FEW else _interval(inside.totals, beside.totals, mean, rng)
    low, high = known or (None, None)
    scores = {
        name: Score.of(value, inside.scores[name], beside.scores[name]) for name, value in look.panel.scores.items()
    }
    return Facts(
        freedom=freedom,
        mean=mean,
        low=low,
        high=high,
        distance=_quantiles(inside.distances),
        prior_deviation=float(prior.mean()),
        scores=scores,
        words=""
        if n < _FEW
        else sentence_of(areas_of(deviation, prior), scores, _NOUNS[kind_of(tuple(query_image.shape))]),
        focus=None if focus is None else _in_focus(deviation, prior, focus),
        feature_distance=None if features is None else _quantiles(inside.feature_distances),
    )


def draws_for_deviation(
    network: Network, latent: LatentSpace, query: Float[Tensor, " d"], n: int
) -> Float[Tensor, "m d"]:
    """Draws that tell the prior's deviation, the same ones whatever the seed of a run.

    Args:
        network: the generator.
        latent: the latent space.
        query: z0.
        n: samples that are compared with them, of which images are computed.
    """
    return prior_draws(latent, query, draws_of_prior(network, n), torch.Generator().manual_seed(_SEED_OF_PRIOR))


def prior_draws(latent: LatentSpace, query: Float[Tensor, " d"], n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
    """Draws of what exact samples are restricted from: the prior, on a sphere its directions at the query's length."""
    drawn = latent.sample(n, rng)
    if latent.geometry != "sphere" or not isinstance(latent.prior, Normal):
        return drawn
    return drawn * (query.norm().to(drawn) / drawn.norm(dim=1, keepdim=True))


def _quantiles(distances: Float[Tensor, " n"]) -> Distance:
    q05, q50, q95 = distances.quantile(torch.tensor(_QUANTILES, dtype=torch.float64)).tolist()
    return Distance(q05=q05, q50=q50, q95=q95)


def _in_focus(deviation: Tensor, prior: Tensor, focus: Tensor) -> tuple[float | None, float | None]:
    """Freedom of the pixels in the focus and of all others; None where these do not change over the prior."""
    there = ((float((deviation * part).sum()), float((prior * part).sum())) for part in (focus, ~focus))
    inside, outside = (region / everything if everything > 0 else None for region, everything in there)
    return inside, outside


@dataclass(frozen=True, kw_only=True, eq=False)
class _Images:
    """What is kept of many images.

    Attributes:
        deviation: (c, h, w), float64, over all.
        totals: (g, 2 p + 1) of each group: sums of some values, sums of their squares, and count.
        distances: (n,) from the query's image, relative to its norm; like all that follow of those that are judged.
        scores: (n,) of each judge's.
        feature_distances: (n,), as the distances.
    """

    deviation: Tensor
    totals: Tensor
    distances: Tensor
    scores: Mapping[str, Tensor]
    feature_distances: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class _Look:
    """What is looked at in images.

    Attributes:
        query_image: (c, h, w), float64.
        panel: the judges and features.
        some: (p,) of the image's values, those that are kept of each image.
    """

    query_image: Tensor
    panel: Panel
    some: Tensor

    def at(self, network: Network, latents: Tensor, group: Tensor, judged: int | None = None) -> _Images:
        """Look at images.

        Args:
            network: the generator.
            latents: (n, d) whose images they are.
            group: (n,) of each, 0, 1, ...; groups are resampled whole.
            judged: how many are judged, the first ones; None: all.
        """
        norm, judged = self.query_image.norm(), len(latents) if judged is None else judged
        sums = PixelSums(self.query_image)
        totals = torch.zeros(int(group.max()) + 1, 2 * len(self.some) + 1, dtype=torch.float64)
        distances, scores, far = [], [], []
        batches = network.image_batches(latents[:judged])
        if judged < len(latents):
            batches = chain(batches, network.image_batches(latents[judged:]))
        n = 0
        for batch in batches:
            gaps = sums.add(batch).flatten(1)
            some = gaps[:, self.some]
            ones = torch.ones(len(some), 1, dtype=torch.float64)
            totals.index_add_(0, group[n : n + len(some)], torch.cat([some, some.square(), ones], dim=1))
            n += len(some)
            if n <= judged:
                distances.append(gaps.norm(dim=1) / norm)
                scores.append(self.panel.scores_of(batch))
                far.append(self.panel.distances(batch))
        return _Images(
            deviation=sums.deviation(correction=1),  # the region and the prior are told by unequal numbers of images
            totals=totals,
            distances=torch.cat(distances),
            scores={name: torch.cat([batch[name] for batch in scores]) for name in self.panel.scores},
            feature_distances=torch.cat(far),
        )


def _interval(
    inside: Float[Tensor, "g q"], beside: Float[Tensor, "h q"], mean: float, rng: torch.Generator
) -> tuple[float, float] | None:
    """A 95 % bootstrap interval of the mean freedom: chains are resampled whole, and groups of the prior's draws.

    The mean is over all values of an image, the resamples over some: the interval is that of the latter, to scale.
    Resamples deviate too little, as chains come twice in them, and so do samples themselves where chains are slow: so
    the interval is around what the mean would be if only chains were independent, as ``_correction`` tells it.
    Deviations are to scale, so how much resamples exceed the mean is how much it exceeds what is sought: the upper
    quantile gives the lower end.
    None where one chain does not tell how far chains differ, or many resamples have no freedom: with few draws, pixels
    that change seldom do not change in them.
    """
    if len(inside) < 2:
        return None
    ratios = _resampled(inside, rng) / _resampled(beside, rng)
    known = ratios[ratios.isfinite()]
    if len(known) < _LEAST_SHARE * len(ratios):
        return None
    if not bool(known.any()):
        return 0.0, 0.0
    low, high = known.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    if low == 0:
        return None
    around = mean * float(known.mean()) * _correction(inside) / _correction(beside)
    return around / high, around / low


def _correction(sums: Float[Tensor, "g q"]) -> float:
    """What the summed deviation of independent draws grows by where groups of them are what is independent.

    Of a value, n draws deviate by less than they should by the square of their mean's error: S^2 / (n - 1) where draws
    are independent, and what the means m_g of G groups of n_g tell, sum (n_g / n)^2 (m_g - m)^2 G / (G - 1), elsewhere.
    """
    p, (groups, n) = (sums.shape[1] - 1) // 2, (len(sums), sums[:, -1:].sum())
    mean = sums[:, :p].sum(dim=0) / n
    plain = (sums[:, p:-1].sum(dim=0) / n - mean.square()).clamp(min=0)
    error = ((sums[:, :p] - sums[:, -1:] * mean) / n).square().sum(dim=0) * groups / (groups - 1)
    independent = (plain * n / (n - 1)).sqrt().sum()
    return float((plain + error).sqrt().sum() / independent) if independent > 0 else 1.0


def _resampled(sums: Float[Tensor, "g q"], rng: torch.Generator) -> Float[Tensor, " resamples"]:
    """Summed deviation of groups drawn again and again; each row holds a group's sums, sums of squares, and count."""
    drawn = torch.randint(len(sums), (_N_RESAMPLES, len(sums)), generator=rng)
    counts = torch.zeros(_N_RESAMPLES, len(sums), dtype=torch.float64)
    counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    return _deviations(counts @ sums)


def _deviations(totals: Float[Tensor, "r q"]) -> Float[Tensor, " r"]:
    """Summed deviation of values whose sums, sums of squares and count are given."""
    p = (totals.shape[1] - 1) // 2
    n = totals[:, -1:]
    return (totals[:, p:-1] / n - (totals[:, :p] / n).square()).clamp(min=0).sqrt().sum(dim=1)
