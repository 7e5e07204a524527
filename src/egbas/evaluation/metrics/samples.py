# SPDX-License-Identifier: MIT
"""How alike the images of samples are: the metrics of the paper's Tables 1 and 2, and two of our own.

One metric, one function; its docstring is its protocol. All take what any method drew, E-GBAS or baseline,
without the query among the samples. Intervals are over queries.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from egbas.errors import NetworkError, ShapeError
from egbas.exploration.result import Exploration
from egbas.network.images import close, image_of, images_at_once
from egbas.network.replica import Replica, freeze
from egbas.network.trace import activation_name
from egbas.region import MICRO_BATCH, Region

N_RESAMPLES = 10_000
LEVEL = 0.95
_COSINE_AT_ONCE = 2**15  # values: in float64 they stay in the processor's cache


def deviation(images: Tensor) -> float:
    """Measure how much the images differ among each other (Table 1; Jeon et al. 2020, eq. 3 with the square it drops).

    The standard deviation over the samples of each pixel and channel, of the population (divided by n), in
    float64; then the mean over pixels and channels. In pixel units: 0 for equal images, at most 1 in -1..1.

    Args:
        images: (n, c, h, w), n >= 1.
    """
    return PixelSpread().add(images).deviation.mean().item()


class PixelSpread:
    """Mean and standard deviation of each pixel and channel over images that come in parts (Chan et al. 1983).

    Attributes:
        n: how many images were added.
        mean: (c, h, w), float64.
    """

    def __init__(self) -> None:
        """Start without images."""
        self.n = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self._squares = torch.zeros((), dtype=torch.float64)  # sum of squared differences from the mean

    def add(self, images: Tensor) -> "PixelSpread":
        """Take more images (m, c, h, w), m >= 1."""
        images = images.detach().double()
        mean, m = images.mean(dim=0), len(images)
        shift = mean - self.mean.to(mean)
        self._squares = self._squares.to(mean) + (images - mean).square().sum(dim=0)
        self._squares += shift.square() * (self.n * m / (self.n + m))
        self.mean = self.mean.to(mean) + shift * (m / (self.n + m))
        self.n += m
        return self

    @property
    def deviation(self) -> Tensor:
        """(c, h, w), float64, of the population (divided by n), in pixel units."""
        return (self._squares / self.n).sqrt()


def critic_similarity(discriminator: nn.Module, images: Tensor, query_image: Tensor) -> list[float]:
    """Measure how alike the discriminator finds the samples and the query (Table 2; Jeon et al. 2020, eq. 2).

    d_l is the flattened output of the discriminator's l-th non-linearity, after the activation; S_l is the mean over
    samples of the cosine of d_l(sample) and d_l(query), in float64. Two features that are zero throughout
    count as alike (1), a zero and another as unlike (0). A discriminator whose features depend on the
    other images in the batch (minibatch statistics) sees every image alone, so that no method's result depends
    on how its samples were batched.

    Args:
        discriminator: maps images (n, c, h, w) to anything; in eval mode; left as it is.
        images: (n, c, h, w), n >= 1.
        query_image: (c, h, w).

    Returns:
        S_l of every non-linearity, in forward order; each in -1..1.

    Raises:
        NetworkError: the discriminator is in train mode, raised, or gives other features the second time.
    """
    return CriticSimilarity(discriminator, query_image).add(images).values


class CriticSimilarity:
    """``critic_similarity`` of images that come in parts."""

    def __init__(self, discriminator: nn.Module, query_image: Tensor) -> None:
        """Compute the query's features.

        Raises:
            NetworkError: the discriminator is in train mode, raised, or gives other features the second time.
        """
        self._replica = _judge(discriminator, "discriminator")
        self._query = query_image[None]
        self._expected = _features(self._replica, self._query)
        if not all(map(close, _features(self._replica, self._query), self._expected)):
            raise NetworkError("the discriminator gives other features the second time; turn off its random noise")
        self._cosines: list[list[Tensor]] = []  # of each part, of each non-linearity (m,)
        # Beside an image that is nothing like it: beside a sample, statistics of the batch would hardly change.
        noise = torch.randn(self._query.shape, generator=torch.Generator().manual_seed(0)).to(self._query)
        beside = zip(_features(self._replica, torch.cat([self._query, noise])), self._expected, strict=True)
        self._is_independent = all(close(got[:1], alone, slack=10.0) for got, alone in beside)

    def anew(self) -> "CriticSimilarity":
        """That of the same query before any image; the query's features are not computed again."""
        other = copy.copy(self)
        other._cosines = []
        return other

    def add(self, images: Tensor) -> "CriticSimilarity":
        """Take more images (m, c, h, w), m >= 1.

        Raises:
            NetworkError: the discriminator raised.
        """
        for part in images.split(images_at_once(images[0].numel()) if self._is_independent else 1):
            self._cosines.append(_at_activations(self._replica, part, self._like_query))
        return self

    def _like_query(self, number: int, features: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        return _cosine(features, self._expected[number])

    @property
    def values(self) -> list[float]:
        """S_l of every non-linearity, in forward order; each in -1..1."""
        return [torch.cat(cosines).mean().item() for cosines in zip(*self._cosines, strict=True)]


def changed_share(images: Tensor | Iterable[Tensor], query_image: Tensor) -> float:
    """Over how large a part of the image the samples differ from the query: small where variation is local.

    For each sample, the effective share of pixels in its squared difference from the query, e = |x - x0|^2:
    (sum e)^2 / (pixels sum e^2) (the participation ratio), which is 1 where all pixels differ by the same amount and
    1 / pixels where one does; then the mean over samples. It does not depend on how much they differ.

    Args:
        images: (n, c, h, w), the samples, or parts of them.
        query_image: (c, h, w).

    Returns:
        In (0, 1]; NaN where every sample is the query's image.
    """
    shares = []
    for part in [images] if isinstance(images, Tensor) else images:
        energy = (part.double() - query_image.double()).square().sum(dim=1).flatten(1)  # (m, pixels)
        energy = energy[energy.sum(dim=1) > 0]
        shares.append(energy.sum(dim=1) ** 2 / (energy.shape[1] * energy.square().sum(dim=1)))
    return torch.cat(shares).mean().item()


def share_in_region(region: Region, latents: Tensor) -> float:
    """Measure which share of the samples lies in the region of E-GBAS, 0..1; 1 for its own by construction.

    Args:
        region: the region.
        latents: (n, d), n >= 1.
    """
    return region.contains(latents).double().mean().item()


def class_consistency(classifier: nn.Module, images: Tensor, query_image: Tensor) -> float:
    """Measure which share of the samples a classifier puts in the query's class, 0..1.

    The class is the largest logit of the query's own image; whether that is the right one does not matter.

    Args:
        classifier: maps images (n, c, h, w) to logits (n, k); in eval mode; left as it is.
        images: (n, c, h, w), n >= 1.
        query_image: (c, h, w).

    Raises:
        NetworkError: the classifier is in train mode, raised, or gives no logits.
    """
    replica = _judge(classifier, "classifier")
    expected = _classes(replica, query_image[None])
    found = torch.cat([_classes(replica, part) for part in images.split(MICRO_BATCH)])
    return (found == expected).double().mean().item()


def search_evaluations(run: Exploration) -> int:
    """Count what the search for samples cost, in passes of one latent or mask through a part of the generator.

    Masks that BerOpt sent through the tail, forward and back, and latents that GB-RRT sent through the head. The
    paper's balls need their exploration too, for its rejected samples; radius-matched needs it for the radii.
    """
    return run.support.beropt.evaluations + run.grown.evaluations


def bootstrap_interval(values: Sequence[float], *, seed: int = 0, level: float = LEVEL) -> tuple[float, float] | None:
    """Interval of the mean over queries: percentiles of the means of resampled queries (Efron 1979).

    Args:
        values: (q,), one for each query.
        seed: of the 10,000 resamples.
        level: share of the resampled means between the two ends.

    Returns:
        Its low and its high end; None for fewer than two queries, which tell nothing of the spread.
    """
    return _interval(lambda chosen: _double(values)[chosen].mean(dim=1), len(values), seed, level)


def bootstrap_ratio(
    values: Sequence[float], reference: Sequence[float], *, seed: int = 0, level: float = LEVEL
) -> tuple[float, float] | None:
    """Interval of mean(values) / mean(reference) over queries, resampled in pairs.

    Both were measured at the same queries, so that what makes one query harder than another cancels out.

    Args:
        values: (q,), one for each query.
        reference: (q,), of the same queries in the same order.
        seed: of the 10,000 resamples.
        level: share of the resampled ratios between the two ends.

    Raises:
        ShapeError: the two have different lengths.
    """
    if len(values) != len(reference):
        raise ShapeError(f"{len(values)} values and {len(reference)} references; expected pairs from the same queries")
    above, below = _double(values), _double(reference)
    return _interval(lambda chosen: above[chosen].mean(1) / below[chosen].mean(1), len(values), seed, level)


def _interval(
    statistic: Callable[[Int[Tensor, "resamples q"]], Float[Tensor, " resamples"]], n: int, seed: int, level: float
) -> tuple[float, float] | None:
    if n < 2:
        return None
    chosen = torch.randint(n, (N_RESAMPLES, n), generator=torch.Generator().manual_seed(seed))
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = statistic(chosen).quantile(ends).tolist()
    return low, high


def _double(values: Sequence[float]) -> Float[Tensor, " q"]:
    return torch.tensor(list(values), dtype=torch.float64)


def _judge(network: nn.Module, role: str) -> Replica:
    if any(module.training for module in network.modules()):
        raise NetworkError(f"the {role} is in train mode; call {role}.eval() first")
    return freeze(network)


@torch.no_grad()
def _classes(replica: Replica, images: Tensor) -> Int[Tensor, " n"]:
    return image_of(_run(replica, images), len(images)).flatten(1).argmax(dim=1).cpu()


def _features(replica: Replica, images: Tensor) -> list[Tensor]:
    """The outputs of every non-linearity, flattened to (n, k_l)."""
    # The network may overwrite them in place.
    return _at_activations(replica, images, lambda _, features: features.clone())


@torch.no_grad()
def _at_activations(replica: Replica, images: Tensor, look: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
    """What ``look`` makes of the number of every non-linearity, from 0, and its output (n, k_l)."""
    with _AfterActivations(len(images), look) as seen:
        _run(replica, images)
    return seen.values


def _run(replica: Replica, images: Tensor) -> Any:
    """Run a judge on images, on the device and in the dtype of its weights."""
    like = next((p for p in replica.module.parameters() if p.is_floating_point()), images)
    return replica(images.to(device=like.device, dtype=like.dtype))


def _cosine(features: Float[Tensor, "n k"], query: Float[Tensor, "1 k"]) -> Float[Tensor, " n"]:
    products, squares, query_square = torch.zeros(3, len(features), 1, dtype=torch.float64)
    at_once = max(1, _COSINE_AT_ONCE // len(features))
    for part, query_part in zip(features.cpu().split(at_once, 1), query.cpu().split(at_once, 1), strict=True):
        a, b = part.double(), query_part.double()
        products += (a * b).sum(dim=1, keepdim=True)
        squares += a.square().sum(dim=1, keepdim=True)
        query_square += b.square().sum(dim=1, keepdim=True)
    both_zero = (squares == 0) & (query_square == 0)
    cosines = products / (squares.sqrt() * query_square.sqrt()).clamp(min=torch.finfo(torch.float64).tiny)
    return torch.where(both_zero, torch.ones_like(cosines), cosines)[:, 0]


class _AfterActivations(TorchFunctionMode):
    """Looks at what every non-linearity gives, module or function, in forward order."""

    def __init__(self, n_images: int, look: Callable[[int, Tensor], Tensor]) -> None:
        super().__init__()
        self.n_images, self.look = n_images, look
        self.values: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if activation_name(func) is not None:
            if output.ndim == 0 or len(output) != self.n_images:
                raise NetworkError(
                    f"a non-linearity of the discriminator has shape {tuple(output.shape)} for {self.n_images} images; "
                    "expected one row for each"
                )
            self.values.append(self.look(len(self.values), output.reshape(len(output), -1)))
        return output
