# SPDX-License-Identifier: MIT
"""How good a generator is, by a classifier: confidence, share of each class, Frechet distance."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from egbas.latent import LatentSpace


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What a classifier says of a generator's samples.

    Attributes:
        n_samples: how many samples were judged.
        confidence: mean probability of the likeliest class, 0..1.
        shares: share of the samples in each class, summing to 1.
        frechet: Frechet distance between classifier features of samples and of real images.
    """

    n_samples: int
    confidence: float
    shares: list[float]
    frechet: float


class Judge:
    """Compare generators with real images through the features of one classifier."""

    def __init__(self, classifier: nn.Module, feature_layer: str, images: Tensor) -> None:
        """Take the statistics of the real images.

        Args:
            classifier: in eval mode; maps images to logits.
            feature_layer: dotted path of the module whose output (n, k) is the feature vector.
            images: (n, c, h, w), the real images.
        """
        self.classifier, self.feature_layer = classifier, feature_layer
        features, _ = self._judge(images)
        self.mean, self.covariance = moments(features)

    def quality(self, generator: nn.Module, latent: LatentSpace, n_samples: int = 10_000, seed: int = 1) -> Quality:
        """Judge ``n_samples`` samples of a generator in eval mode."""
        rng = torch.Generator().manual_seed(seed)
        judged = []
        with torch.no_grad():
            for z in latent.sample(n_samples, rng=rng).split(500):
                judged.append(self._judge(generator(z)))
        features = torch.cat([f for f, _ in judged])
        probabilities = torch.cat([logits for _, logits in judged]).softmax(1)
        classes = torch.bincount(probabilities.argmax(1), minlength=probabilities.shape[1])
        return Quality(
            n_samples=n_samples,
            confidence=probabilities.amax(1).mean().item(),
            shares=(classes / n_samples).tolist(),
            frechet=frechet_distance(self.mean, self.covariance, *moments(features)),
        )

    @torch.no_grad()
    def _judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        kept: list[Tensor] = []
        layer = self.classifier.get_submodule(self.feature_layer)
        hook = layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output.clone()))
        try:
            logits = torch.cat([self.classifier(batch) for batch in images.split(500)])
        finally:
            hook.remove()
        return torch.cat(kept), logits


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (k,) and covariance (k, k) of feature vectors (n, k), in float64."""
    features = features.double()
    return features.mean(0), torch.cov(features.T)


def frechet_distance(mean0: Tensor, covariance0: Tensor, mean1: Tensor, covariance1: Tensor) -> float:
    """Frechet distance between two normal distributions (Heusel et al. 2017, eq. 6).

    ||m0 - m1||^2 + tr(C0 + C1 - 2 (C0 C1)^(1/2)), with the trace of the root taken through the
    symmetric C0^(1/2) C1 C0^(1/2), which has the same eigenvalues.
    """
    root0 = _symmetric_root(covariance0)
    inner = root0 @ covariance1 @ root0
    trace_root = torch.linalg.eigvalsh((inner + inner.T) / 2).clamp(min=0).sqrt().sum()
    squared = (mean0 - mean1).square().sum() + covariance0.trace() + covariance1.trace() - 2 * trace_root
    return max(0.0, squared.item())


def _symmetric_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T
