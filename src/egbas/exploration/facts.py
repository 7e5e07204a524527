# SPDX-License-Identifier: MIT
"""What exact samples say of a region: how free each pixel is, and how far images lie from the query's.

In: a network, a query, exact samples of the region. Out: freedom and distance, each with an interval or quantiles.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.samplers.chains import Chains

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
    """

    freedom: Float[Tensor, "..."]
    mean: float
    low: float
    high: float
    distance: Distance
    prior_deviation: float


def facts_of(
    network: Network, latent: LatentSpace, query: Float[Tensor, " d"], chains: Chains, *, rng: torch.Generator
) -> Facts | None:
    """Compute the facts of a region; None where there are no samples, or images that do not differ over the prior.

    Args:
        network: the generator.
        latent: the latent space; as many draws of its prior are taken as there are samples.
        query: z0.
        chains: exact samples of the prior in the region.
        rng: of the prior's draws and of the bootstrap.
    """
    n = len(chains.latents) if network.image_size <= LARGE_IMAGE else min(_N_LARGE, len(chains.latents))
    if n < 2:
        return None
    chosen = torch.arange(n) * len(chains.latents) // n
    query_image = network.generate(query[None])[0].cpu().double()
    inside = _Images.of(network, chains.latents[chosen], query_image)
    beside = _Images.of(network, latent.sample(n, rng), query_image)
    deviation, prior = inside.deviation, beside.deviation
    if not bool(prior.sum() > 0):
        return None
    freedom = torch.where(prior < _HELD * prior.max(), torch.nan, deviation / prior).float()
    low, high = _interval(inside.pixels, chains.chain[chosen], beside.pixels, rng)
    quantiles = inside.distances.quantile(torch.tensor(_QUANTILES, dtype=torch.float64)).tolist()
    return Facts(
        freedom=freedom,
        mean=float(deviation.sum() / prior.sum()),
        low=low,
        high=high,
        distance=Distance(q05=quantiles[0], q50=quantiles[1], q95=quantiles[2]),
        prior_deviation=float(prior.mean()),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Images:
    """What is kept of many images.

    Attributes:
        deviation: (c, h, w), float64, over all.
        pixels: (n, p) some values of each.
        distances: (n,) from the query's image, relative to its norm.
    """

    deviation: Tensor
    pixels: Tensor
    distances: Tensor

    @classmethod
    def of(cls, network: Network, latents: Tensor, query_image: Tensor) -> "_Images":
        some = torch.linspace(0, query_image.numel() - 1, min(_N_PIXELS, query_image.numel())).long()
        norm = query_image.norm().clamp(min=torch.finfo(torch.float64).tiny)
        total, squares = torch.zeros_like(query_image), torch.zeros_like(query_image)
        pixels, distances = [], []
        for batch in network.image_batches(latents):
            gaps = batch.double() - query_image  # from the query's image, so that little cancels
            total, squares = total + gaps.sum(dim=0), squares + gaps.square().sum(dim=0)
            pixels.append(gaps.flatten(1)[:, some])
            distances.append(gaps.flatten(1).norm(dim=1) / norm)
        n = len(latents)
        variance = (squares / n - (total / n).square()).clamp(min=0)
        return cls(deviation=variance.sqrt(), pixels=torch.cat(pixels), distances=torch.cat(distances))


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
