# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import CheckpointError
from egbas.latent import Normal
from egbas.zoo.blueprint import ARCHITECTURES, Blueprint, config_from_json, config_to_json, normal
from egbas.zoo.formats.pggan import pggan_generator
from egbas.zoo.pggan import PgganConfig
from tests.zoo.formats.reference import Draw


def conv(n_out: int, n_in: int, k: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return Draw(n_out)(n_out, n_in, k, k), Draw(n_in)(n_out)


def test_networks_are_built_frozen_in_eval_mode_without_drawing_random_numbers() -> None:
    blueprint = pggan_generator([conv(3, 4, 4), conv(3, 3)], conv(3, 3, 1))
    before = torch.get_rng_state()
    network = blueprint.build()
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(part.training for part in network.modules())
    assert not any(weight.requires_grad for weight in network.parameters())
    assert {value.device.type for value in network.state_dict().values()} == {"cpu"}
    assert network.get_parameter("conv1.weight").data_ptr() == blueprint.weights["conv1.weight"].data_ptr()


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
