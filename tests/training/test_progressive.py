# SPDX-License-Identifier: MIT
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from egbas.errors import ConfigError
from egbas.latent import LatentSpace
from egbas.training.growing import enlarge, shrink
from egbas.training.progressive import Progressive, ProgressiveConfig
from egbas.training.wgan import WganResult
from egbas.zoo.pggan import PgganConfig, PgganCritic, PgganCriticConfig, PgganGenerator

LATENT = LatentSpace(shape=(3,))
CONFIG = ProgressiveConfig(
    steps=12, growth=(2, 6), fade_steps=2, critic_steps=1, batch_size=8, evaluate_every=2, save_every=3, seed=5
)
IMAGES = torch.rand(32, 1, 16, 16, generator=torch.Generator().manual_seed(9)) * 2 - 1
GENERATOR = PgganConfig(latent_size=3, channels=(5, 4, 3), image_channels=1, output="tanh")
CRITIC = PgganCriticConfig(channels=(5, 4, 3), image_channels=1)


def start(config: ProgressiveConfig = CONFIG, seed: int = 0) -> Progressive:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Progressive(config, PgganGenerator(GENERATOR), PgganCritic(CRITIC), LATENT, IMAGES)


def brightness(generator: nn.Module) -> float:
    """Stand in for the Frechet distance: a number that follows every weight."""
    with torch.no_grad():
        return generator(LATENT.sample(16, rng=torch.Generator().manual_seed(1))).mean().item()


def no_progress(done: int, total: int, text: str) -> None:
    pass


class Stop(Exception):
    pass


def stop_after(step: int):
    def progress(done: int, total: int, text: str) -> None:
        if done == step:
            raise Stop

    return progress


def assert_same(first: WganResult, second: WganResult) -> None:
    assert (first.step, first.frechet, first.history) == (second.step, second.frechet, second.history)
    for name in ("generator", "critic"):
        one, other = getattr(first, name), getattr(second, name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("last_step", [2, 4, 7, 11])
def test_resumed_training_equals_the_uninterrupted_one(tmp_path: Path, last_step: int) -> None:
    whole = start().run(brightness, tmp_path / "whole", no_progress)
    with pytest.raises(Stop):
        start().run(brightness, tmp_path / "parts", stop_after(last_step))
    # Before the first saved state the training starts again, and only then do the first weights matter.
    resumed = start(seed=1 if last_step >= CONFIG.save_every else 0)
    seen: list[int] = []
    result = resumed.run(brightness, tmp_path / "parts", lambda done, total, text: seen.append(done))
    assert seen[0] == last_step // 3 * 3 + 1  # it went on where the last state was
    assert_same(result, whole)


def test_only_the_full_resolution_is_judged(tmp_path: Path) -> None:
    sides: list[tuple[int, float]] = []

    def frechet(generator: nn.Module) -> float:
        images = generator(torch.zeros(1, 3))
        sides.append((images.shape[-1], generator.alpha))
        return 1.0

    result = start().run(frechet, tmp_path, no_progress)
    assert [step for step, _ in result.history] == [8, 10, 12]
    assert sides == [(16, 1.0)] * 3


def test_each_resolution_fades_in_after_the_other() -> None:
    assert [CONFIG.schedule(step) for step in range(0, 13)] == [
        (0, 1.0), (0, 1.0), (1, 0.0), (1, 0.5), (1, 1.0), (1, 1.0),
        (2, 0.0), (2, 0.5), *[(2, 1.0)] * 5,
    ]  # fmt: skip


def test_progress_tells_resolution_and_share(tmp_path: Path) -> None:
    texts: list[str] = []
    start().run(brightness, tmp_path, lambda done, total, text: texts.append(text))
    assert "4x4 alpha 1.00" in texts[0]
    assert "8x8 alpha 0.50" in texts[3]
    assert "16x16 alpha 1.00 frechet" in texts[-1]


def test_real_images_have_as_much_detail_as_generated_ones() -> None:
    training = start()
    training.images = IMAGES[:1]  # every draw is this image
    for step, expected in (
        (0, shrink(IMAGES, 4)),
        (2, enlarge(shrink(IMAGES, 4))),
        (3, (shrink(IMAGES, 2) + enlarge(shrink(IMAGES, 4))) / 2),
        (5, shrink(IMAGES, 2)),
        (9, IMAGES),
    ):
        training.step = step
        training.critic.stage, training.critic.alpha = CONFIG.schedule(step)
        torch.testing.assert_close(training._draw_real(2), expected[:1].expand(2, *expected.shape[1:]))


def test_training_moves_every_weight_but_not_the_global_stream(tmp_path: Path) -> None:
    training = start()
    before = {name: value.clone() for name, value in training.generator.named_parameters()}
    before |= {name: value.clone() for name, value in training.critic.named_parameters()}
    stream = torch.get_rng_state()
    training.run(brightness, tmp_path, no_progress)
    assert torch.equal(torch.get_rng_state(), stream)
    after = dict(training.generator.named_parameters()) | dict(training.critic.named_parameters())
    # The bias of the score moves all scores alike, so the distance has no gradient there.
    still = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert still <= {"finished.score.bias"}


def test_critic_is_shown_the_statistic_of_its_batch() -> None:
    training = start()
    deviation = training.critic.finished.get_submodule("deviation")
    training._update()
    assert deviation.training
    assert deviation.get_buffer("reference") == 0


def test_finished_networks_are_plain_and_make_the_best_images(tmp_path: Path) -> None:
    training = start()
    judged: dict[float, torch.Tensor] = {}
    z = LATENT.sample(4, rng=torch.Generator().manual_seed(2))

    def frechet(generator: nn.Module) -> float:
        distance = {8: 3.0, 10: 1.0, 12: 2.0}[training.step]
        with torch.no_grad():
            judged[distance] = generator(z)
        return distance

    result = training.run(frechet, tmp_path, no_progress)
    generator, critic = training.finish(result)
    assert result.step == 10
    torch.testing.assert_close(generator(z), judged[1.0])
    for network, config in ((generator, GENERATOR), (critic, CRITIC)):
        fresh = type(network)(config)
        fresh.load_state_dict(network.state_dict())  # strict
        assert not any(part.training for part in network.modules())
        assert not any(weight.requires_grad for weight in network.parameters())
    below = nn.Sequential(*list(critic)[: list(critic).index(critic.get_submodule("deviation"))])
    expected = critic.get_submodule("deviation").statistic(below(IMAGES)).mean()
    torch.testing.assert_close(critic.state_dict()["deviation.reference"], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"growth": (2, 3)}, r"growth \(2, 3\) leaves a resolution less than its 2 fade_steps"),
        ({"growth": (6, 2)}, "leaves a resolution less"),
        ({"growth": (2, 11)}, "leaves a resolution less"),
        ({"growth": (0, 6)}, "growth begins at step 0 .*expected 1 or more"),
        ({"fade_steps": 0}, "fade_steps is 0; expected 1 or more"),
    ],
)
def test_impossible_growth_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **change)


def test_networks_of_another_resolution_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"16, 16, 16, 16 pixels a side; growth \(2,\) ends at 8"):
        start(replace(CONFIG, growth=(2,)))
