# SPDX-License-Identifier: MIT
"""What other networks make of the images: a discriminator's features (the paper's Table 2), a classifier's class."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from egbas.errors import NetworkError
from egbas.network.functions import activation_name
from egbas.network.images import close, image_of, images_at_once
from egbas.network.replica import Replica, freeze
from egbas.region import MICRO_BATCH

_COSINE_AT_ONCE = 2**15  # values: in float64 they stay in the processor's cache


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
    """``critic_similarity`` of images that come in batches."""

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
        self._cosines: list[list[Tensor]] = []  # of each batch, of each non-linearity (m,)
        # Beside images that are nothing like it: beside samples, statistics of the batch would hardly change. With
        # one, and with as many as there will be: some layers look at large batches alone.
        rng, most = torch.Generator().manual_seed(0), images_at_once(self._query.numel())
        noise = torch.randn(max(1, most - 1), *self._query.shape[1:], generator=rng, dtype=torch.float32).to(
            self._query
        )
        self._is_independent = all(map(self._is_alike, (noise[:1], noise)))

    def _is_alike(self, beside: Tensor) -> bool:
        """Whether the query's features are what they are alone, in a batch with other images."""
        batch = torch.cat([self._query, beside])
        try:
            got = _at_activations(self._replica, batch, lambda _, features: features[:1].clone())
        except NetworkError:  # a batch of a size that it does not take
            return False
        return all(close(one, alone, slack=10.0) for one, alone in zip(got, self._expected, strict=True))

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
        for batch in images.split(images_at_once(images[0].numel()) if self._is_independent else 1):
            self._cosines.append(_at_activations(self._replica, batch, self._like_query))
        return self

    def _like_query(self, number: int, features: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        return _cosine(features, self._expected[number])

    @property
    def values(self) -> list[float]:
        """S_l of every non-linearity, in forward order; each in -1..1."""
        return [torch.cat(cosines).mean().item() for cosines in zip(*self._cosines, strict=True)]


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
    classes = torch.cat([_classes(replica, batch) for batch in images.split(MICRO_BATCH)])
    return (classes == expected).double().mean().item()


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
def _at_activations(replica: Replica, images: Tensor, measure: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
    """What ``measure`` makes of the number of every non-linearity, from 0, and its output (n, k_l)."""
    with _AfterActivations(len(images), measure) as observed:
        _run(replica, images)
    return observed.values


def _run(replica: Replica, images: Tensor) -> Any:
    """Run a judge on images, on the device and in the dtype of its weights."""
    like = next((p for p in replica.module.parameters() if p.is_floating_point()), images)
    return replica(images.to(device=like.device, dtype=like.dtype))


def _cosine(features: Float[Tensor, "n k"], query: Float[Tensor, "1 k"]) -> Float[Tensor, " n"]:
    products, squares, query_square = torch.zeros(3, len(features), 1, dtype=torch.float64)
    at_once = max(1, _COSINE_AT_ONCE // len(features))
    for block, query_block in zip(features.cpu().split(at_once, 1), query.cpu().split(at_once, 1), strict=True):
        a, b = block.double(), query_block.double()
        products += (a * b).sum(dim=1, keepdim=True)
        squares += a.square().sum(dim=1, keepdim=True)
        query_square += b.square().sum(dim=1, keepdim=True)
    both_zero = (squares == 0) & (query_square == 0)
    cosines = products / (squares.sqrt() * query_square.sqrt()).clamp(min=torch.finfo(torch.float64).tiny)
    return torch.where(both_zero, torch.ones_like(cosines), cosines)[:, 0]


class _AfterActivations(TorchFunctionMode):
    """Measures what every non-linearity gives, module or function, in forward order."""

    def __init__(self, n_images: int, measure: Callable[[int, Tensor], Tensor]) -> None:
        super().__init__()
        self.n_images, self.measure = n_images, measure
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
            self.values.append(self.measure(len(self.values), output.reshape(len(output), -1)))
        return output
