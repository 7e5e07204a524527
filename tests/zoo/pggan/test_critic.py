# SPDX-License-Identifier: MIT
import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from egbas.errors import ShapeError
from egbas.evaluation.metrics.critic import critic_similarity
from egbas.zoo.pggan import PgganCritic, PgganCriticConfig, record_statistic

BASE = PgganCriticConfig(channels=(7, 5, 4), head_channels=6)
FLAGS = [
    replace(BASE, input_activation=reads, pooling=pooling, groups=groups, group_size=size, unbiased=unbiased)
    for reads, pooling, (groups, size, unbiased) in itertools.product(
        (True, False),
        ("after", "before"),
        (
            ("none", 4, False),
            ("consecutive", 4, True),
            ("consecutive", 2, False),
            ("strided", 4, False),
            ("strided", 16, False),
        ),
    )
]
each = pytest.mark.parametrize("config", FLAGS)


def draw(config: PgganCriticConfig) -> tuple[PgganCritic, dict[str, Tensor]]:
    """A critic with N(0, 1) weights, scaled by the inputs, and its state dict."""
    rng = torch.Generator().manual_seed(3)
    critic = PgganCritic(config).eval().requires_grad_(False)
    for weight in critic.parameters():
        fan_in = weight[0].numel() if weight.ndim > 1 else 4
        weight.copy_(torch.randn(weight.shape, generator=rng) * (2 / fan_in) ** 0.5)
    return critic, critic.state_dict()


def images(n: int = 8) -> Tensor:
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def deviation_by_hand(config: PgganCriticConfig, x: Tensor) -> Tensor:
    """The statistic (n,) of every image, one group after the other; n divides into groups, or is one."""
    n = len(x)
    size = config.group_size if n % config.group_size == 0 else n
    found = torch.zeros(n)
    for group in range(n // size):
        if config.groups == "consecutive":
            members = list(range(group * size, (group + 1) * size))
        else:
            members = [i for i in range(n) if i % (n // size) == group]
        squares = (x[members] - x[members].mean(0)).pow(2).sum(0) / (size - config.unbiased)
        found[members] = (squares + 1e-8).sqrt().mean()
    return found


def by_hand(config: PgganCriticConfig, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The forward pass in train mode from the table of the formats, written without the modules."""

    def conv(x: Tensor, name: str, padding: int) -> Tensor:
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)

    x = conv(x, "rgb", 0)
    x = leaky(x) if config.input_activation else x
    for number in (1, 3):
        x = leaky(conv(x, f"conv{number}", 1))
        if config.pooling == "after":
            x = F.avg_pool2d(leaky(conv(x, f"conv{number + 1}", 1)), 2)
        else:  # fused: convolution and pooling without a bias, then the bias
            x = F.avg_pool2d(F.conv2d(x, weights[f"conv{number + 1}.weight"], padding=1), 2)
            x = leaky(x + weights[f"conv{number + 1}.bias"][:, None, None])
    if config.groups != "none":
        statistic = deviation_by_hand(config, x)[:, None, None, None]
        x = torch.cat([x, statistic.expand(-1, 1, 4, 4)], 1)
    x = leaky(conv(x, "conv5", 1)).flatten(1)
    x = leaky(x @ weights["feature.weight"].T + weights["feature.bias"])
    return x @ weights["score.weight"].T + weights["score.bias"]


@each
def test_forward_agrees_with_one_written_by_hand(config: PgganCriticConfig) -> None:
    critic, weights = draw(config)
    scores = critic.train()(images())
    assert scores.shape == (8, 1)
    torch.testing.assert_close(scores, by_hand(config, weights, images()), atol=1e-5, rtol=1e-5)


def test_flags_change_the_scores() -> None:
    # Else the test above could not tell them apart. 16 images, so that the group sizes 4 and 16 differ; those
    # without the channel have weights of other shapes.
    scores = [draw(config)[0].train()(images(16)) for config in FLAGS if config.groups != "none"]
    for one, other in itertools.combinations(scores, 2):
        assert (one - other).abs().max() > 1e-4


@each
def test_image_has_the_same_scores_and_features_in_any_batch(config: PgganCriticConfig) -> None:
    critic, _ = draw(config)
    record_statistic(critic, images(32))
    whole, whole_features = run(critic, images())
    for part in ([0], [3], [5, 2], [7, 1, 4], list(range(7, -1, -1))):
        scores, features = run(critic, images()[part])
        torch.testing.assert_close(scores, whole[part], atol=1e-5, rtol=1e-5)
        for got, expected in zip(features, whole_features, strict=True):
            torch.testing.assert_close(got, expected[part], atol=1e-5, rtol=1e-5)


def run(critic: PgganCritic, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Scores and the outputs of all non-linearities."""
    features = []
    for name, part in critic.named_children():
        x = part(x)
        if name.startswith("act"):
            features.append(x)
    return x, features


def test_in_train_mode_they_depend_on_the_batch() -> None:
    critic, _ = draw(BASE)
    critic.train()
    assert (critic(images())[:1] - critic(images()[:1])).abs().max() > 1e-3


def test_similarity_of_the_metrics_is_that_of_single_images() -> None:
    critic, _ = draw(BASE)
    record_statistic(critic, images(32))
    query, samples = images()[0], images()[1:]
    single = [critic_similarity(critic, sample[None], query) for sample in samples]
    found = critic_similarity(critic, samples, query)
    assert len(found) == 7  # act0..act6
    assert found == pytest.approx([sum(values) / 7 for values in zip(*single, strict=True)], abs=1e-6)


@pytest.mark.parametrize("groups", ["consecutive", "strided"])
def test_recorded_statistic_is_the_mean_over_the_images(groups) -> None:
    config = replace(BASE, groups=groups)
    critic, weights = draw(config)
    below = torch.nn.Sequential(*itertools.takewhile(lambda part: part is not critic.deviation, critic))
    expected = deviation_by_hand(config, below(images(16))).mean().item()
    assert record_statistic(critic, images(16)) == pytest.approx(expected, rel=1e-5)
    assert critic.deviation.reference.item() == pytest.approx(expected, rel=1e-5)
    changed = {name for name, value in critic.state_dict().items() if not torch.equal(value, weights[name])}
    assert changed <= {"deviation.reference"}
    assert not critic.training


def test_recorded_statistic_of_many_images_weighs_each_alike() -> None:
    critic, _ = draw(BASE)
    parts = [images(64), images(72)[64:]]  # 64 is one pass, the 8 left are another
    means = [record_statistic(critic, part) for part in parts]
    assert record_statistic(critic, torch.cat(parts)) == pytest.approx((64 * means[0] + 8 * means[1]) / 72)


def test_nothing_is_recorded_without_images_or_without_the_channel() -> None:
    assert record_statistic(draw(replace(BASE, groups="none"))[0], images()) == 0
    with pytest.raises(ShapeError, match="no image to take the minibatch deviation of"):
        record_statistic(draw(BASE)[0], images(0))


@each
def test_blocks_in_a_row_are_the_critic(config: PgganCriticConfig) -> None:
    critic, _ = draw(config)
    x = critic.get_submodule("rgb")(images())
    x = leaky(x) if config.input_activation else x
    for index in (2, 1, 0):
        x = critic.block(index)(x)
    torch.testing.assert_close(x, critic(images()))


def test_critic_of_4_pixels_has_a_head_only() -> None:
    critic = PgganCritic(PgganCriticConfig(channels=(5,), image_channels=1)).eval()
    names = [name for name, _ in critic.named_children()]
    assert names == ["rgb", "act0", "deviation", "conv1", "act1", "flatten", "feature", "act2", "score"]
    assert critic(torch.zeros(2, 1, 4, 4)).shape == (2, 1)
