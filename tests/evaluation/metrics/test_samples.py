# SPDX-License-Identifier: MIT
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egbas.errors import NetworkError, ShapeError
from egbas.evaluation.baselines import e_gbas, l2_ball
from egbas.evaluation.metrics.samples import (
    CriticSimilarity,
    PixelSpread,
    bootstrap_interval,
    bootstrap_ratio,
    changed_share,
    class_consistency,
    critic_similarity,
    deviation,
    search_evaluations,
    share_in_region,
)
from egbas.zoo.mnist_dcgan import DcganCritic
from tests.problems import linear
from tests.runs import colour_run

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


def test_deviation_by_hand() -> None:
    # Pixel 1: 0, 2, 4 with variance 8/3; pixel 2 is constant.
    assert deviation(pictures([0, 1], [2, 1], [4, 1])) == pytest.approx(math.sqrt(8 / 3) / 2)
    assert deviation(pictures([1, -1])) == 0
    assert deviation(pictures(E1, E1, E1)) == 0


def test_deviation_of_a_known_distribution() -> None:
    images = torch.rand(20_000, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert deviation(images) == pytest.approx(1 / math.sqrt(3), rel=0.01)


@pytest.mark.parametrize("size", [1, 4, 11])
def test_spread_of_parts_is_that_of_all(size: int) -> None:
    images = 1e6 + torch.rand(11, 2, 3, 3, dtype=torch.float64)  # far from zero, where sums of squares cancel
    spread = PixelSpread()
    for part in images.split(size):
        spread.add(part)
    assert spread.n == 11
    torch.testing.assert_close(spread.mean, images.mean(dim=0))
    torch.testing.assert_close(spread.deviation, images.std(dim=0, correction=0), rtol=1e-8, atol=0)


def test_similarity_of_parts_is_that_of_all() -> None:
    images, query = torch.rand(9, 1, 1, 2) - 0.5, torch.rand(1, 1, 2)
    similarity = CriticSimilarity(Critic().eval(), query)
    for part in images.split(4):
        similarity.add(part)
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


@pytest.mark.parametrize("critic", [MinibatchCritic().eval(), Critic().eval()])
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


def test_own_samples_are_in_the_region() -> None:
    run = colour_run()
    assert share_in_region(run.region, e_gbas(run).latents) == 1
    ball = l2_ball(run, rng=torch.Generator().manual_seed(0)).latents
    assert share_in_region(run.region, ball) == run.region.contains(ball).double().mean().item() < 1


def test_evaluations() -> None:
    run = colour_run()
    assert search_evaluations(run) == run.beropt.steps * 4 + run.tree.evaluations


def test_interval_of_the_mean() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    interval = bootstrap_interval(values)
    assert interval is not None
    # For a normal sample: mean +- 1.96 s / sqrt(n); 5% of slack for 10,000 resamples.
    mean, spread = sum(values) / 400, torch.tensor(values).std().item() / 20
    assert interval == pytest.approx((mean - 1.96 * spread, mean + 1.96 * spread), abs=0.1 * spread)
    assert bootstrap_interval(values) == interval
    assert bootstrap_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)
    assert bootstrap_interval([2.0]) is None


def test_interval_of_a_ratio_is_paired() -> None:
    reference = [1.0, 10.0, 3.0, 0.5]
    assert bootstrap_ratio([0.8 * value for value in reference], reference) == pytest.approx((0.8, 0.8))
    with pytest.raises(ShapeError, match="pairs"):
        bootstrap_ratio([1.0], reference)


def test_changed_share_of_known_changes() -> None:
    query = torch.zeros(1, 4, 4)
    one, all_pixels, half = query.clone(), query + 3.0, query.clone()
    one[0, 1, 2], half[0, :2] = 5.0, -2.0
    assert changed_share(one[None], query) == pytest.approx(1 / 16)
    assert changed_share(all_pixels[None], query) == pytest.approx(1.0)
    assert changed_share(torch.stack([one, half, query]), query) == pytest.approx((1 / 16 + 1 / 2) / 2)
    assert changed_share([one[None], torch.stack([query, half])], query) == pytest.approx((1 / 16 + 1 / 2) / 2)
