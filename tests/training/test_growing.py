# SPDX-License-Identifier: MIT
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from egbas.training.growing import GrowingCritic, GrowingGenerator, enlarge, equalise, fold, shrink
from egbas.zoo.pggan import PgganConfig, PgganCritic, PgganCriticConfig, PgganGenerator

OUTPUTS = ["none", "tanh", "hardtanh"]


def growing_generator(output="none") -> GrowingGenerator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = PgganConfig(latent_size=5, channels=(6, 5, 4), image_channels=1, output=output)
        return GrowingGenerator(PgganGenerator(config)).eval()


def growing_critic(reads: bool = True) -> GrowingCritic:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = PgganCriticConfig(channels=(6, 5, 4), image_channels=1, input_activation=reads)
        return GrowingCritic(PgganCritic(config)).train()


def at(network, stage: int, alpha: float):
    network.stage, network.alpha = stage, alpha
    return network


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("stage", [1, 2])
def test_a_stage_begins_as_the_enlarged_one_before(stage: int, output) -> None:
    generator, z = growing_generator(output), draw(3, 5)
    before = at(generator, stage - 1, 1.0)(z)
    torch.testing.assert_close(at(generator, stage, 0.0)(z), enlarge(before))


@pytest.mark.parametrize("stage", [1, 2])
def test_halfway_images_are_the_mean_of_both(stage: int) -> None:
    generator, z = growing_generator(), draw(3, 5)
    before, after = at(generator, stage - 1, 1.0)(z), at(generator, stage, 1.0)(z)
    torch.testing.assert_close(at(generator, stage, 0.5)(z), (enlarge(before) + after) / 2)
    assert (enlarge(before) - after).abs().max() > 0.1


@pytest.mark.parametrize("output", OUTPUTS)
def test_grown_up_it_is_the_finished_network(output) -> None:
    generator, z = growing_generator(output), draw(3, 5)
    images = at(generator, 2, 1.0)(z)
    assert images.shape == (3, 1, 16, 16)
    torch.testing.assert_close(images, generator.finished(z))


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("stage", [1, 2])
def test_a_critic_begins_a_stage_as_the_one_before_on_shrunk_images(stage: int, reads: bool) -> None:
    critic, images = growing_critic(reads), draw(8, 1, 4 * 2**stage, 4 * 2**stage)
    begun = at(critic, stage, 0.0)(images)
    torch.testing.assert_close(begun, at(critic, stage - 1, 1.0)(shrink(images, 2)))
    assert (at(critic, stage, 0.5)(images) - begun).abs().max() > 1e-3


@pytest.mark.parametrize("reads", [True, False])
def test_grown_up_it_is_the_finished_critic(reads: bool) -> None:
    critic, images = growing_critic(reads), draw(8, 1, 16, 16)
    scores = at(critic, 2, 1.0)(images)
    assert scores.shape == (8, 1)
    torch.testing.assert_close(scores, critic.finished(images))


@pytest.mark.parametrize("make", [growing_generator, growing_critic])
def test_folded_equals_parametrised_and_is_plain(make) -> None:
    growing = make()
    x = draw(8, 5) if make is growing_generator else draw(8, 1, 16, 16)
    before = growing.finished.eval()(x)
    plain = fold(growing.finished)
    torch.testing.assert_close(plain(x), before)
    assert not any(parametrize.is_parametrized(part) for part in plain.modules())
    fresh = type(plain)(plain.config)
    fresh.load_state_dict(plain.state_dict())  # strict: the keys are those of a network that never was trained
    torch.testing.assert_close(fresh.eval()(x), before)
    assert {type(part) for part in plain.modules()} == {type(part) for part in fresh.modules()}
    assert all(weight.is_contiguous() and not weight.requires_grad for weight in plain.parameters())
    assert parametrize.is_parametrized(next(part for part in growing.finished if isinstance(part, nn.Conv2d)))


def test_equalised_weights_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 400, 5), nn.LeakyReLU(0.2), nn.Linear(2000, 40))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        equalise(network, plain=[network[2]])
    # Each of 30,000 and 80,000 draws: the standard error of a deviation is below half a percent.
    assert network[0].weight.std().item() == pytest.approx(math.sqrt(2 / 75), rel=0.02)
    assert network[2].weight.std().item() == pytest.approx(math.sqrt(1 / 2000), rel=0.02)
    assert network[0].parametrizations["weight"].original.std().item() == pytest.approx(1, rel=0.02)
    assert network[0].bias.abs().max() == network[2].bias.abs().max() == 0


def test_every_layer_is_equalised_and_gain_is_left_out_where_no_activation_follows() -> None:
    networks = growing_generator(), growing_critic()
    scales = {}
    for network in networks:
        for name, part in network.named_modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                inputs = part.weight[0].numel()
                scales[f"{type(network).__name__}.{name}"] = part.parametrizations["weight"][0].scale * inputs**0.5
    assert len(scales) == 6 + 1 + 2 + 5 + 1 + 1 + 1 + 2  # convolutions, heads; convolutions, rgb, linear, readers
    plain = {name for name, gain in scales.items() if gain == pytest.approx(1)}
    assert plain == {
        "GrowingGenerator.finished.rgb",
        "GrowingGenerator.heads.0",
        "GrowingGenerator.heads.1",
        "GrowingCritic.finished.score",
    }
    assert all(gain == pytest.approx(2**0.5) for name, gain in scales.items() if name not in plain)


def test_shrinking_undoes_enlarging() -> None:
    images = draw(2, 1, 4, 4)
    torch.testing.assert_close(shrink(enlarge(enlarge(images)), 4), images)
    assert shrink(images, 1) is images
    assert shrink(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]), 2).item() == 3.0
