# SPDX-License-Identifier: MIT
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from egbas.latent import LatentSpace
from egbas.training.wgan import Wgan, WganConfig, WganResult, calibrate_batch_norm, gradient_penalty

LATENT = LatentSpace(shape=(3,))
CONFIG = WganConfig(steps=6, batch_size=8, evaluate_every=2, seed=5)


def start(config: WganConfig = CONFIG, seed: int = 0) -> Wgan:
    """A training of 8 x 8 images with batch norm and both kinds of convolutions."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        images = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(9)) * 2 - 1
        grow = nn.ConvTranspose2d(2, 1, 4, stride=2, padding=1)
        generator = nn.Sequential(
            nn.Linear(3, 32, bias=False),
            nn.Unflatten(1, (2, 4, 4)),
            nn.BatchNorm2d(2),
            nn.ReLU(),
            grow,
            nn.Tanh(),
        )
        critic = nn.Sequential(
            nn.Conv2d(1, 4, 4, stride=2, padding=1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64, 1)
        )
        return Wgan(config, generator, critic, LATENT, images)


def brightness(generator: nn.Module) -> float:
    """Stand in for the Frechet distance: a number that follows every weight."""
    with torch.no_grad():
        return generator(LATENT.sample(16, rng=torch.Generator().manual_seed(1))).mean().item()


def no_progress(done: int, total: int, text: str) -> None:
    pass


def assert_same(first: WganResult, second: WganResult) -> None:
    assert (first.step, first.frechet, first.history) == (second.step, second.frechet, second.history)
    for name in ("generator", "critic"):
        one, other = getattr(first, name), getattr(second, name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


class Stop(Exception):
    pass


def stop_after(step: int):
    def progress(done: int, total: int, text: str) -> None:
        if done == step:
            raise Stop

    return progress


@pytest.mark.parametrize("last_step", [1, 2, 3, 5])
def test_resumed_training_equals_the_uninterrupted_one(tmp_path: Path, last_step: int) -> None:
    whole = start().run(brightness, tmp_path / "whole", no_progress)
    with pytest.raises(Stop):
        start().run(brightness, tmp_path / "parts", stop_after(last_step))
    # Before the first saved state the training starts again, and only then do the first weights matter.
    resumed = start(seed=1 if last_step >= CONFIG.evaluate_every else 0)
    assert_same(resumed.run(brightness, tmp_path / "parts", no_progress), whole)


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = start().run(brightness, tmp_path, no_progress)
    assert_same(start(seed=1).run(brightness, tmp_path, stop_after(1)), first)


def test_state_of_other_settings_is_not_resumed(tmp_path: Path) -> None:
    start(WganConfig(steps=2, batch_size=8, evaluate_every=2, seed=6)).run(brightness, tmp_path, no_progress)
    fresh = start().run(brightness, tmp_path / "fresh", no_progress)
    assert_same(start().run(brightness, tmp_path, no_progress), fresh)


def test_best_checkpoint_is_the_one_with_the_smallest_distance(tmp_path: Path) -> None:
    distances = iter([3.0, 1.0, 2.0])
    result = start().run(lambda _: next(distances), tmp_path, no_progress)
    assert (result.step, result.frechet) == (4, 1.0)
    assert result.history == [(2, 3.0), (4, 1.0), (6, 2.0)]


@pytest.mark.parametrize("distances", [(math.nan, 2.0, 3.0), (2.0, math.nan, 3.0), (3.0, 2.0, math.nan)])
def test_a_distance_that_is_no_number_is_never_the_best(tmp_path: Path, distances: tuple[float, ...]) -> None:
    given = iter(distances)
    assert start().run(lambda _: next(given), tmp_path, no_progress).frechet == 2.0


def test_training_moves_every_weight_but_not_the_global_stream(tmp_path: Path) -> None:
    training = start()
    before = {name: value.clone() for name, value in training.generator.named_parameters()}
    stream = torch.get_rng_state()
    training.run(brightness, tmp_path, no_progress)
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(not torch.equal(value, before[name]) for name, value in training.generator.named_parameters())
    assert all(weight.requires_grad for weight in training.critic.parameters())


def test_average_of_the_first_step_by_hand() -> None:
    training = start()
    before = training.generator[0].weight.detach().clone()
    training._update()
    after = training.generator[0].weight.detach()
    # At the very start the old average weighs 1 / 10.
    torch.testing.assert_close(training.average[0].weight, 0.1 * before + 0.9 * after)


def test_rate_is_constant_and_then_falls_to_zero() -> None:
    config = WganConfig(steps=10, decay_from=0.5)
    assert [config.rate_factor(step) for step in (0, 4, 5, 6, 9, 10)] == pytest.approx([1, 1, 1, 0.8, 0.2, 0])
    assert [WganConfig(steps=10, decay_from=1.0).rate_factor(step) for step in (0, 9, 10)] == [1, 1, 0]


@pytest.mark.parametrize("norm", [0.0, 1.0, 3.0])
def test_gradient_penalty_of_a_linear_critic(norm: float) -> None:
    # D(x) = <w, x> has the gradient w everywhere, so the penalty is (||w|| - 1)^2.
    critic = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    critic[1].weight.data = norm * torch.tensor([[0.5, -0.5, 0.5, 0.5]])
    real, fake = torch.randn(2, 6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    penalty = gradient_penalty(critic, real, fake, rng=torch.Generator().manual_seed(0))
    assert penalty.item() == pytest.approx((norm - 1) ** 2)


def test_gradient_penalty_can_be_minimised() -> None:
    # d/dw (||w|| - 1)^2 = 2 (||w|| - 1) w / ||w||
    critic = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
    critic[1].weight.data = torch.tensor([[3.0, 0.0, 4.0, 0.0]])
    images = torch.zeros(2, 1, 2, 2)
    gradient_penalty(critic, images, images + 1, rng=torch.Generator().manual_seed(0)).backward()
    torch.testing.assert_close(critic[1].weight.grad, torch.tensor([[4.8, 0.0, 6.4, 0.0]]))


def test_calibrated_statistics_are_those_of_the_latents() -> None:
    generator = nn.Sequential(nn.Linear(1, 2, bias=False), nn.BatchNorm1d(2, momentum=0.3))
    generator[0].weight.data = torch.tensor([[2.0], [-1.0]])
    generator(torch.ones(4, 1) + 50 * torch.rand(4, 1))  # statistics of something else
    latent = LatentSpace(shape=(1,), prior="uniform", bound=3.0)
    calibrate_batch_norm(generator, latent, seed=0)
    norm = generator[1]
    # U(-3, 3) has mean 0 and variance 3; of 10,000 draws the standard errors are 0.017 and 0.027.
    assert norm.running_mean.tolist() == pytest.approx([0, 0], abs=0.12)
    assert norm.running_var.tolist() == pytest.approx([12, 3], rel=0.04)
    assert not generator.training
    calibrated = norm.running_mean.clone()
    calibrate_batch_norm(generator, latent, seed=0)
    assert torch.equal(norm.running_mean, calibrated)
