# SPDX-License-Identifier: MIT
"""What other networks make of the images: a discriminator's features (the paper's Table 2), a classifier's class."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from egbas.errors import EgbasError, NetworkError
from egbas.network.classified import Logits
from egbas.network.functions import activation_name
from egbas.network.images import close, images_at_once
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
        self._judge = _judge(discriminator, "discriminator")
        self._query = query_image[None]
        self._expected = _features(self._judge, self._query)
        if not all(map(close, _features(self._judge, self._query), self._expected)):
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
            got = _at_activations(self._judge, batch, lambda _, features: features[:1].clone())
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
            self._cosines.append(_at_activations(self._judge, batch, self._like_query))
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
        classifier: maps images (n, c, h, w) to logits (n, k), alone or by the name ``logits``; in eval mode; left as
            it is.
        images: (n, c, h, w), n >= 1.
        query_image: (c, h, w).

    Raises:
        NetworkError: the classifier is in train mode, raised, or gives no logits.
    """
    judge = _judge(Logits(classifier), "classifier")
    expected = _classes(judge, query_image[None])
    classes = torch.cat([_classes(judge, batch) for batch in images.split(MICRO_BATCH)])
    return (classes == expected).double().mean().item()


def check_critic(critic: nn.Module, images: Tensor) -> None:
    """Refuse what ``critic_similarity`` could not say anything of such images by.

    Args:
        critic: maps images (n, c, h, w) to anything; left as it is.
        images: (n, c, h, w), n >= 1, of the kind that it is to judge.

    Raises:
        NetworkError: as ``critic_similarity`` does, or there is no non-linearity, or its features are not finite.
    """
    values = critic_similarity(critic, images, images[0])
    if not values:
        raise NetworkError(
            "it has no non-linearity that egbas knows, such as nn.ReLU, so that there are no features to compare"
        )
    if not all(map(math.isfinite, values)):
        raise NetworkError("it has features that are NaN or infinite; check its weights and the range of its images")


def check_classifier(classifier: nn.Module, images: Tensor) -> None:
    """Refuse what ``class_consistency`` could not say anything of such images by.

    Args:
        classifier: maps images (n, c, h, w) to logits (n, k), alone or by the name ``logits``; left as it is.
        images: (n, c, h, w), n >= 1, of the kind that it is to judge.

    Raises:
        NetworkError: as ``class_consistency`` does, or its logits are NaN, or they are others the second time or beside
            other images.
    """
    judge = _judge(Logits(classifier), "classifier")
    logits = _logits(judge, images)
    if logits.isnan().any():
        raise NetworkError("it gives logits that are NaN; check its weights and the range of its images")
    alone = torch.cat([_logits(judge, image[None]) for image in images])
    if not close(alone, logits, slack=10.0):
        raise NetworkError(
            "it gives an image other logits the second time, or beside other images; turn off its random noise, and "
            "let it see each image for itself"
        )


@dataclass(frozen=True, eq=False)
class _Judge:
    """A network that judges images, and what it is called in messages."""

    replica: Replica
    role: str

    def __call__(self, images: Tensor) -> Any:
        """Run it on images (n, c, h, w), on the device and in the dtype of its weights."""
        like = next((p for p in self.replica.module.parameters() if p.is_floating_point()), images)
        try:
            return self.replica(images.to(device=like.device, dtype=like.dtype))
        except NetworkError as error:
            cause = error.__cause__
            if cause is None or isinstance(cause, EgbasError):
                raise
            reason = (str(cause).splitlines() or [""])[0]
            raise NetworkError(
                f"the {self.role} raised {type(cause).__name__} on images of shape {tuple(images.shape)}: {reason}; "
                "where it wants another size, range or number of channels, wrap it in a module that resizes and "
                "rescales them"
            ) from cause


def _judge(network: nn.Module, role: str) -> _Judge:
    if any(module.training for module in network.modules()):
        raise NetworkError(f"the {role} is in train mode; call {role}.eval() first")
    return _Judge(freeze(network), role)


def _classes(judge: _Judge, images: Tensor) -> Int[Tensor, " n"]:
    return _logits(judge, images).argmax(dim=1)


@torch.no_grad()
def _logits(judge: _Judge, images: Tensor) -> Float[Tensor, "n k"]:
    logits = judge(images)
    n = len(images)
    if not (isinstance(logits, Tensor) and logits.is_floating_point() and _are_logits(logits.shape, n)):
        told = f"{logits.dtype} of shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise NetworkError(
            f"the classifier returned {told} for {n} images; expected logits ({n}, classes) of two classes or more"
        )
    return logits.flatten(1).cpu()


def _are_logits(shape: torch.Size, n: int) -> bool:
    """Whether a tensor has a row of two numbers or more for each image; (n, k, 1, 1) are k numbers, too."""
    return len(shape) > 1 and shape[0] == n and shape[1] == math.prod(shape[1:]) > 1


def _features(judge: _Judge, images: Tensor) -> list[Tensor]:
    """The outputs of every non-linearity, flattened to (n, k_l)."""
    # The network may overwrite them in place.
    return _at_activations(judge, images, lambda _, features: features.clone())


@torch.no_grad()
def _at_activations(judge: _Judge, images: Tensor, measure: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
    """What ``measure`` makes of the number of every non-linearity, from 0, and its output (n, k_l)."""
    with _AfterActivations(len(images), measure) as observed:
        judge(images)
    return observed.values


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
