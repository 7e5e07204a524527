# SPDX-License-Identifier: MIT
import math
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from egbas.latent import LatentSpace
from egbas.training.quality import Judge, frechet_distance, moments


def diagonal(*values: float) -> Tensor:
    return torch.diag(torch.tensor(values, dtype=torch.float64))


def point(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_moments_by_hand() -> None:
    mean, covariance = moments(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]]))
    assert mean.tolist() == [1.0, 2.0]
    torch.testing.assert_close(covariance, diagonal(4 / 3, 16 / 3))


def test_distance_to_itself_is_zero() -> None:
    covariance = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    assert frechet_distance(point(1, 2), covariance, point(1, 2), covariance) == pytest.approx(0, abs=1e-12)


def test_commuting_covariances() -> None:
    # ||m0 - m1||^2 + sum of (sqrt(a) - sqrt(b))^2 where both are diagonal.
    found = frechet_distance(point(0, 0, 1), diagonal(1, 4, 9), point(3, 4, 1), diagonal(4, 4, 1))
    assert found == pytest.approx(25 + 1 + 0 + 4)


def test_covariances_that_do_not_commute() -> None:
    first = torch.tensor([[2.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    second = torch.tensor([[1.0, -0.5], [-0.5, 3.0]], dtype=torch.float64)
    product = first @ second
    # Of a 2 x 2 matrix M with positive eigenvalues: tr(M^(1/2))^2 = tr(M) + 2 det(M)^(1/2).
    trace_root = math.sqrt(product.trace().item() + 2 * math.sqrt(torch.linalg.det(product).item()))
    expected = (first.trace() + second.trace()).item() - 2 * trace_root
    assert frechet_distance(point(0, 0), first, point(0, 0), second) == pytest.approx(expected)
    assert frechet_distance(point(0, 0), second, point(0, 0), first) == pytest.approx(expected)


def test_singular_covariance() -> None:
    assert frechet_distance(point(0, 0), diagonal(0, 1), point(0, 0), diagonal(4, 1)) == pytest.approx(4)


class Features(nn.Sequential):
    """Two-pixel images; the features are the pixels, the class is the sign of the first."""

    def __init__(self) -> None:
        logits = nn.Linear(2, 2, bias=False)
        logits.weight.data = torch.tensor([[5.0, 0.0], [-5.0, 0.0]])
        super().__init__(OrderedDict([("features", nn.Flatten()), ("logits", logits)]))


def test_samples_of_the_real_distribution_are_at_distance_zero() -> None:
    latent = LatentSpace(shape=(2,))
    z = latent.sample(2_000, rng=torch.Generator().manual_seed(1))
    classifier = Features()
    judge = Judge(classifier, "features", z.view(-1, 1, 1, 2))
    quality = judge.quality(nn.Unflatten(1, (1, 1, 2)), latent, n_samples=2_000, seed=1)
    assert quality.frechet == pytest.approx(0, abs=1e-9)
    assert quality.n_samples == 2_000
    above = (z[:, 0] > 0).double().mean().item()
    assert quality.shares == pytest.approx([above, 1 - above])
    assert quality.confidence == pytest.approx(torch.sigmoid(10 * z[:, 0].abs()).mean().item(), rel=1e-5)
    assert not classifier.features._forward_hooks


def test_shifted_samples_are_at_the_square_of_the_shift() -> None:
    latent = LatentSpace(shape=(2,))
    z = latent.sample(500, rng=torch.Generator().manual_seed(1))
    judge = Judge(Features(), "features", z.view(-1, 1, 1, 2) + 3.0)
    quality = judge.quality(nn.Unflatten(1, (1, 1, 2)), latent, n_samples=500, seed=1)
    assert quality.frechet == pytest.approx(18, rel=1e-5)


def test_hook_is_gone_when_the_classifier_raises() -> None:
    classifier = Features()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Judge(classifier, "features", torch.zeros(4, 1, 1, 3))
    assert not classifier.features._forward_hooks
