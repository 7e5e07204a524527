# SPDX-License-Identifier: MIT
"""What exact samples say of a region: how free each pixel is, and how far images lie from the query's.

In: a network, a query, exact samples of the region. Out: freedom and distance, each with an interval or quantiles.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.exploration.judges import BUILT_IN, Judge, Score, asked, scores_of
from egbas.exploration.words import areas_of, sentence_of
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.samplers.chains import Chains

Features = Callable[[Tensor], Tensor]

_HELD = 0.01  # of the largest deviation over the prior: pixels that deviate less there have no freedom
LARGE_IMAGE = 50_000  # values of an image, from which on fewer images are computed
_N_LARGE = 100
_N_RESAMPLES, _N_PIXELS = 1000, 4096  # of the bootstrap; so many pixels tell as much as all
_QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Quantiles of ||G(z) - G(z0)|| / ||G(z0)|| over a region; the last is Definition 6's delta, as achieved."""

    q05: float
    q50: float
    q95: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Facts:
    """What exact samples say of a region.

    Attributes:
        freedom: (c, h, w), float32: of each pixel its deviation over the region divided by that over the prior; 0 is
            held, 1 as free as ever, NaN where the prior's deviation is below a hundredth of the largest.
        mean: summed deviation over the region through summed deviation over the prior.
        low: lower end of a 95 % interval of the mean.
        high: upper end.
        distance: of images from the query's.
        prior_deviation: mean deviation of a pixel over the prior, in pixel units.
        scores: what judges say, by the score's name.
        focus: freedom of the part of the image that BerOpt looked at, and of the rest; None without one.
        feature_distance: as ``distance``, in the features that were asked for; None without.
        words: what is held and what is free, in a sentence; empty where there is nothing to say.
    """

    freedom: Float[Tensor, "..."]
    mean: float
    low: float
    high: float
    distance: Distance
    prior_deviation: float
    scores: Mapping[str, Score] = field(default_factory=dict)
    focus: tuple[float, float] | None = None
    feature_distance: Distance | None = None
    words: str = ""


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
    """Compute the facts of a region; None where there are no samples, or images that do not differ over the prior.

    Args:
        network: the generator.
        latent: the latent space; as many draws of its prior are taken as there are samples.
        query: z0.
        chains: exact samples of the prior in the region.
        rng: of the prior's draws and of the bootstrap.
        judges: further ones, beside brightness, contrast and colour.
        features: of images (n, c, h, w), one tensor for each; None: pixels alone.
        focus: (h, w) bool, the part of the image that BerOpt looked at.

    Raises:
        ConfigError: a judge or the features answer in another form.
    """
    n = len(chains.latents) if network.image_size <= LARGE_IMAGE else min(_N_LARGE, len(chains.latents))
    if n < 2:
        return None
    chosen = torch.arange(n) * len(chains.latents) // n
    query_image = network.generate(query[None])[0].cpu()
    look = _Look(query_image=query_image, judges=(*BUILT_IN, *judges), features=features)
    inside = look.at(network, chains.latents[chosen])
    beside = look.at(network, latent.sample(n, rng))
    deviation, prior = inside.deviation, beside.deviation
    if not bool(prior.sum() > 0):
        return None
    freedom = torch.where(prior < _HELD * prior.max(), torch.nan, deviation / prior).float()
    low, high = _interval(inside.pixels, chains.chain[chosen], beside.pixels, rng)
    at_query = scores_of(look.judges, query_image[None])
    scores = {
        name: Score.of(float(value[0]), inside.scores[name], beside.scores[name]) for name, value in at_query.items()
    }
    return Facts(
        freedom=freedom,
        mean=float(deviation.sum() / prior.sum()),
        low=low,
        high=high,
        distance=_quantiles(inside.distances),
        prior_deviation=float(prior.mean()),
        scores=scores,
        words=sentence_of(areas_of(deviation, prior), scores),
        focus=None if focus is None else _in_focus(deviation, prior, focus),
        feature_distance=None if features is None else _quantiles(inside.feature_distances),
    )


def _quantiles(distances: Float[Tensor, " n"]) -> Distance:
    q05, q50, q95 = distances.quantile(torch.tensor(_QUANTILES, dtype=torch.float64)).tolist()
    return Distance(q05=q05, q50=q50, q95=q95)


def _in_focus(deviation: Tensor, prior: Tensor, focus: Tensor) -> tuple[float, float]:
    """Freedom of the pixels in the focus and of all others; 0 where these do not change over the prior."""
    inside, outside = (
        float((deviation * part).sum() / (prior * part).sum().clamp(min=torch.finfo(torch.float64).tiny))
        for part in (focus, ~focus)
    )
    return inside, outside


@dataclass(frozen=True, kw_only=True, eq=False)
class _Images:
    """What is kept of many images.

    Attributes:
        deviation: (c, h, w), float64, over all.
        pixels: (n, p) some values of each.
        distances: (n,) from the query's image, relative to its norm.
        scores: (n,) of each judge's.
        feature_distances: (n,), as the distances.
    """

    deviation: Tensor
    pixels: Tensor
    distances: Tensor
    scores: Mapping[str, Tensor]
    feature_distances: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class _Look:
    """What is looked at in images."""

    query_image: Tensor
    judges: Sequence[Judge]
    features: Features | None

    def at(self, network: Network, latents: Tensor) -> _Images:
        query_image = self.query_image.double()
        query_features = self._of_features(self.query_image[None])
        some = torch.linspace(0, query_image.numel() - 1, min(_N_PIXELS, query_image.numel())).long()
        norm = query_image.norm().clamp(min=torch.finfo(torch.float64).tiny)
        total, squares = torch.zeros_like(query_image), torch.zeros_like(query_image)
        pixels, distances, scores, far = [], [], [], []
        for batch in network.image_batches(latents):
            gaps = batch.double() - query_image  # from the query's image, so that little cancels
            total, squares = total + gaps.sum(dim=0), squares + gaps.square().sum(dim=0)
            pixels.append(gaps.flatten(1)[:, some])
            distances.append(gaps.flatten(1).norm(dim=1) / norm)
            scores.append(scores_of(self.judges, batch))
            far.append(
                (self._of_features(batch) - query_features).norm(dim=1)
                / query_features.norm().clamp(min=torch.finfo(torch.float64).tiny)
            )
        n = len(latents)
        variance = (squares / n - (total / n).square()).clamp(min=0)
        return _Images(
            deviation=variance.sqrt(),
            pixels=torch.cat(pixels),
            distances=torch.cat(distances),
            scores={name: torch.cat([batch[name] for batch in scores]) for name in scores[0]},
            feature_distances=torch.cat(far),
        )

    def _of_features(self, images: Tensor) -> Float[Tensor, "n f"]:
        """Features of images, flat; nothing where none were asked for."""
        if self.features is None:
            return torch.zeros(len(images), 0, dtype=torch.float64)
        answer = asked(self.features, images, "the features")
        has_rows = isinstance(answer, Tensor) and answer.ndim > 0 and len(answer) == len(images)
        if not has_rows or not bool(answer.isfinite().all()):
            got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise ConfigError(
                f"the features returned {got} for {len(images)} images; expected a tensor with finite values, one row "
                "for each image"
            )
        return answer.detach().cpu().flatten(1).double()


def _interval(
    inside: Float[Tensor, "n p"], chain: Tensor, beside: Float[Tensor, "m p"], rng: torch.Generator
) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean freedom: chains are resampled whole, and draws of the prior."""
    numbers, index = chain.unique(return_inverse=True)
    sums = torch.zeros(len(numbers), 2 * inside.shape[1] + 1, dtype=torch.float64)
    sums.index_add_(0, index, torch.cat([inside, inside.square(), torch.ones(len(inside), 1).double()], dim=1))
    alone = torch.cat([beside, beside.square(), torch.ones(len(beside), 1).double()], dim=1)
    ratios = _resampled(sums, rng) / _resampled(alone, rng)
    low, high = ratios.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


def _resampled(sums: Float[Tensor, "g q"], rng: torch.Generator) -> Float[Tensor, " resamples"]:
    """Summed deviation of groups drawn again and again; each row holds a group's sums, sums of squares, and count."""
    drawn = torch.randint(len(sums), (_N_RESAMPLES, len(sums)), generator=rng)
    counts = torch.zeros(_N_RESAMPLES, len(sums), dtype=torch.float64)
    counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    totals = counts @ sums
    p = (sums.shape[1] - 1) // 2
    n = totals[:, -1:]
    return (totals[:, p:-1] / n - (totals[:, :p] / n).square()).clamp(min=0).sqrt().sum(dim=1)
