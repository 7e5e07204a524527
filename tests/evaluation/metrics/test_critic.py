# SPDX-License-Identifier: MIT
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egbas.errors import NetworkError
from egbas.evaluation.metrics.critic import CriticSimilarity, class_consistency, critic_similarity
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
