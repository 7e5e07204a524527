# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import CheckpointError
from egbas.latent import Normal
from egbas.zoo.formats.pggan import (
    ARCHITECTURES,
    Blueprint,
    CriticLayers,
    Deviation,
    config_from_json,
    config_to_json,
    normal,
    pggan_critic,
    pggan_generator,
)
from egbas.zoo.pggan import PgganConfig
from tests.zoo.formats.reference import Draw

DEVIATION = Deviation(groups="strided", group_size=4)


def conv(n_out: int, n_in: int, k: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return Draw(n_out)(n_out, n_in, k, k), Draw(n_in)(n_out)


def linear(n_out: int, n_in: int) -> tuple[torch.Tensor, torch.Tensor]:
    return Draw(n_out)(n_out, n_in), Draw(n_in)(n_out)


def layers(final_in: int = 4, scores: int = 1, final_out: int = 3) -> CriticLayers:
    return CriticLayers(
        rgb=conv(2, 3, 1),
        blocks=[(conv(2, 2), conv(3, 2))],
        final=conv(final_out, final_in),
        feature=linear(5, 16 * final_out),
        score=linear(scores, 5),
    )


def test_networks_are_built_frozen_in_eval_mode_without_drawing_random_numbers() -> None:
    blueprint = pggan_generator([conv(3, 4, 4), conv(3, 3)], conv(3, 3, 1))
    before = torch.get_rng_state()
    network = blueprint.build()
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(part.training for part in network.modules())
    assert not any(weight.requires_grad for weight in network.parameters())
    assert {value.device.type for value in network.state_dict().values()} == {"cpu"}
    assert network.get_parameter("conv1.weight").data_ptr() == blueprint.weights["conv1.weight"].data_ptr()


def test_every_image_of_a_critic_gets_the_deviation_of_one_alone() -> None:
    critic, images = pggan_critic(layers(), DEVIATION).build(), Draw(9)(4, 3, 8, 8)
    assert float(critic.get_buffer("deviation.reference")) == pytest.approx(1e-4)
    torch.testing.assert_close(critic(images), torch.cat([critic(image[None]) for image in images]))


def test_a_critic_without_deviation_has_no_channel_for_it() -> None:
    assert pggan_critic(layers(final_in=3), DEVIATION).config.groups == "none"


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (layers(final_in=6), r"maps 6 to 3 channels; expected 3 \(or 4"),
        (layers(final_out=2), "maps 4 to 2 channels"),
        (layers(scores=3), "3 numbers, so the network is conditional"),
    ],
)
def test_critics_that_do_not_fit_together_are_refused(odd: CriticLayers, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        pggan_critic(odd, DEVIATION)


def test_layers_of_different_widths_are_refused() -> None:
    with pytest.raises(CheckpointError, match="different numbers of channels"):
        pggan_generator([conv(3, 4, 4), conv(2, 3)], conv(3, 2, 1))


def test_weights_that_do_not_fit_the_settings_are_refused() -> None:
    config = PgganConfig(latent_size=4, channels=(3,))
    with pytest.raises(CheckpointError, match="do not fit the architecture"):
        Blueprint(architecture="pggan-generator", config=config, weights={}).build()
    huge = PgganConfig(latent_size=4, channels=(2**40,))
    with pytest.raises(CheckpointError, match="do not fit the architecture"):
        Blueprint(architecture="pggan-generator", config=huge, weights={}).build()


def test_settings_survive_json() -> None:
    blueprint = pggan_generator([conv(3, 4, 4), conv(3, 3)], conv(3, 3, 1), latent_norm=False)
    assert config_from_json("pggan-generator", config_to_json(blueprint)) == blueprint.config


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_damaged_settings_are_refused(architecture: str) -> None:
    for values in ({}, {"channels": 3}, {"channels": []}, {"channels": [0]}, {"channels": [3], "colour": 1}):
        with pytest.raises(CheckpointError, match="damaged"):
            config_from_json(architecture, values)


def test_unknown_architectures_are_refused() -> None:
    with pytest.raises(CheckpointError, match="'vae' is unknown; expected one of pggan-generator"):
        config_from_json("vae", {})


def test_latents_are_normal() -> None:
    assert (normal(7).shape, normal(7, 1, 1).shape, normal(7).prior) == ((7,), (7, 1, 1), Normal())
