# SPDX-License-Identifier: MIT
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egbas.errors import NetworkError
from egbas.evaluation.metrics.critic import (
    CriticSimilarity,
    check_classifier,
    check_critic,
    class_consistency,
    critic_similarity,
)
from egbas.zoo.mnist_dcgan import DcganCritic
from tests.problems import linear

E1, E2 = [1.0, 0.0], [0.0, 1.0]


def pictures(*rows: list[float]) -> Tensor:
    """Images (n, 1, 1, 2) of two pixels."""
    return torch.tensor(rows, dtype=torch.float32)[:, None, None, :]


class Critic(nn.Module):
    """Two non-linearities: d_1 = relu(x), d_2 = leaky(-d_1) of slope 0.5, overwritten afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.LeakyReLU(0.5)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(x.flatten(1))
        h = self.act(-h)
        return h.mul_(0).sum(1)


class MinibatchCritic(nn.Module):
    """Adds the standard deviation over the batch, as PGGAN's discriminator does."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        spread = x.std(dim=0, correction=0).mean().expand(len(x), 1)
        return torch.relu(torch.cat([x, spread], dim=1)).sum(1)


def test_similarity_of_batches_is_that_of_all() -> None:
    images, query = torch.rand(9, 1, 1, 2) - 0.5, torch.rand(1, 1, 2)
    similarity = CriticSimilarity(Critic().eval(), query)
    for batch in images.split(4):
        similarity.add(batch)
    assert similarity.values == pytest.approx(critic_similarity(Critic().eval(), images, query))


def test_similarity_by_hand() -> None:
    # d_1: equal 1, orthogonal 0, 45 degrees; d_2 = -d_1 / 2 has the same cosines.
    found = critic_similarity(Critic().eval(), pictures(E1, E2, [1, 1]), torch.tensor(E1)[None, None])
    assert found == pytest.approx([(1 + math.sqrt(0.5)) / 3] * 2)


def test_features_are_after_the_activation() -> None:
    # Before the ReLU the cosine of (1, -1) and (1, 0) is 0.71.
    found = critic_similarity(nn.ReLU().eval(), pictures([1, -1]), torch.tensor(E1)[None, None])
    assert found == pytest.approx([1.0])


def test_zero_features() -> None:
    critic = nn.ReLU().eval()
    assert critic_similarity(critic, pictures([-1, -1]), torch.tensor([-1.0, 0.0])[None, None]) == [1.0]
    assert critic_similarity(critic, pictures(E1), torch.tensor([-1.0, 0.0])[None, None]) == [0.0]


class LargeMinibatchCritic(MinibatchCritic):
    """The same in batches of more than 16, and none of 20 or more."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) >= 20:
            raise ValueError
        return super().forward(x) if len(x) > 16 else torch.relu(x)


class CrowdedCritic(Critic):
    """Takes the mean of a batch of more than 16 off."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(dim=0) if len(x) > 16 else x)


@pytest.mark.parametrize(
    "critic", [MinibatchCritic().eval(), Critic().eval(), LargeMinibatchCritic().eval(), CrowdedCritic().eval()]
)
def test_similarity_does_not_depend_on_the_batch(critic: nn.Module) -> None:
    images = torch.rand(100, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    query = images[7]
    together = critic_similarity(critic, images, query)
    alone = [critic_similarity(critic, image[None], query) for image in images]
    assert together == pytest.approx(torch.tensor(alone).mean(0).tolist(), abs=1e-6)


def test_a_batch_statistic_is_noticed_beside_samples_like_the_query() -> None:
    query = torch.rand(1, 1, 2, generator=torch.Generator().manual_seed(0))
    images = query + 1e-3 * torch.randn(6, 1, 1, 2, generator=torch.Generator().manual_seed(1))
    critic = MinibatchCritic().eval()
    alone = [critic_similarity(critic, image[None], query) for image in images]
    assert critic_similarity(critic, images, query) == pytest.approx(
        torch.tensor(alone, dtype=torch.float64).mean(0).tolist(), abs=1e-9
    )


def test_every_layer_of_the_zoo_critic() -> None:
    critic = DcganCritic().eval()
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    found = critic_similarity(critic, images, images[0])
    assert len(found) == 4
    assert all(0 < value <= 1 for value in found)
    features = [critic.act1(critic.conv1(images)).flatten(1).detach()]
    assert found[0] == pytest.approx(F.cosine_similarity(features[0], features[0][:1]).mean().item(), abs=1e-5)


def test_judges_have_to_be_ready() -> None:
    query = torch.tensor(E1)[None, None]
    with pytest.raises(NetworkError, match=r"discriminator\.eval"):
        critic_similarity(Critic(), pictures(E1), query)
    with pytest.raises(NetworkError, match=r"classifier\.eval"):
        class_consistency(nn.Sequential(nn.Flatten(), nn.Linear(2, 2)), pictures(E1), query)

    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x + torch.rand_like(x))

    with pytest.raises(NetworkError, match="second time"):
        critic_similarity(Noisy().eval(), pictures(E1), query)


def test_classes_by_hand() -> None:
    classifier = nn.Sequential(nn.Flatten(), linear([E1, E2])).eval()
    images = pictures([3, 1], [0, 1], [2, 1], [-1, -3])
    assert class_consistency(classifier, images, torch.tensor(E1)[None, None]) == 0.75
    assert class_consistency(classifier, images, torch.tensor(E2)[None, None]) == 0.25


def test_judges_are_left_as_they_were() -> None:
    critic = Critic().eval()
    critic_similarity(critic, pictures(E1, E2), torch.tensor(E1)[None, None])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in critic.modules())


class Named(nn.Module):
    """Logits by their name, beside features that are alike for all images."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = x.flatten(1)
        return {"features": torch.ones_like(x), "logits": x}


def test_logits_may_stand_beside_features() -> None:
    images = pictures([3, 1], [0, 1], [2, 1], [-1, -3])
    assert class_consistency(Named().eval(), images, torch.tensor(E1)[None, None]) == 0.75


class Answering(nn.Module):
    """Gives what a function makes of the images, flattened."""

    def __init__(self, of: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.of = of

    def forward(self, x: Tensor) -> object:
        return self.of(x.flatten(1))


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (lambda x: x[:, :1], r"returned torch.float32 of shape \(3, 1\) for 3 images; expected logits .* two classes"),
        (lambda x: x[:, 0], r"of shape \(3,\)"),
        (lambda x: x[:1], r"of shape \(1, 2\) for 3 images"),
        (lambda x: x[:, :, None, None].expand(-1, -1, 2, 2), r"of shape \(3, 2, 2, 2\)"),
        (lambda x: x.argmax(dim=1), r"returned torch.int64"),
        (lambda x: "a cat", "returned str"),
        (lambda x: (x, x), "2 parts, none of which is called 'logits'"),
        (lambda x: x * torch.nan, "logits that are NaN"),
        (lambda x: x + torch.rand(1), "other logits the second time, or beside other images"),
        (lambda x: x - x.mean(dim=0), "other logits the second time, or beside other images"),
        (
            lambda x: x @ torch.ones(3, 3),
            r"the classifier raised RuntimeError on images of shape \(3, 1, 1, 2\): .*resizes",
        ),
    ],
)
def test_a_classifier_that_cannot_judge_is_refused(of: Callable[[Tensor], object], told: str) -> None:
    with pytest.raises(NetworkError, match=told):
        check_classifier(Answering(of).eval(), pictures(E1, E2, [1, 1]))


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (lambda x: x * 2, "no non-linearity that egbas knows"),
        (lambda x: torch.relu(x * torch.inf), "NaN or infinite"),
        (lambda x: torch.relu(x + torch.rand(1)), "other features the second time"),
        (lambda x: torch.relu(x.sum()), "expected one row for each"),
        (lambda x: torch.relu(x @ torch.ones(3, 3)), r"the discriminator raised RuntimeError on images of shape .*: "),
    ],
)
def test_a_critic_that_cannot_judge_is_refused(of: Callable[[Tensor], object], told: str) -> None:
    with pytest.raises(NetworkError, match=told):
        check_critic(Answering(of).eval(), pictures(E1, E2, [1, 1]))


def test_judges_that_can_judge_are_left_alone() -> None:
    check_critic(Critic().eval(), pictures(E1, E2))
    check_critic(MinibatchCritic().eval(), pictures(E1, E2))  # it sees every image alone
    for classifier in (Named(), nn.Flatten(), nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, 1, 1)))):
        check_classifier(classifier.eval(), pictures(E1, E2))
    with pytest.raises(NetworkError, match=r"discriminator\.eval"):
        check_critic(Critic(), pictures(E1))
    with pytest.raises(NetworkError, match=r"classifier\.eval"):
        check_classifier(Named(), pictures(E1))
