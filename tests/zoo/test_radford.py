# SPDX-License-Identifier: MIT
import dataclasses
import json

import pytest
import torch

from egbas.errors import ConfigError
from egbas.zoo.radford import RadfordConfig, RadfordCritic, RadfordCriticConfig, RadfordGenerator

GENERATOR = RadfordConfig(latent_size=5, channels=(6, 4, 2))
CRITIC = RadfordCriticConfig(channels=(6, 4, 2), sigmoid=True)


def test_images_have_the_stated_resolution() -> None:
    images = RadfordGenerator(GENERATOR).eval()(torch.randn(2, 5, 1, 1, generator=torch.Generator().manual_seed(0)))
    assert images.shape == (2, 3, GENERATOR.resolution, GENERATOR.resolution) == (2, 3, 32, 32)
    assert images.abs().max() <= 1
    scores = RadfordCritic(CRITIC).eval()(images)
    assert scores.shape == (2, 1)
    assert 0 < scores.min() <= scores.max() < 1


def test_each_boundary_is_that_of_a_norm() -> None:
    names = [name for name, _ in RadfordGenerator(GENERATOR).named_children()]
    assert names == [f"{kind}{i}" for i in (1, 2, 3) for kind in ("conv", "norm", "relu")] + ["conv4", "tanh"]
    assert "tanh" not in dict(RadfordGenerator(dataclasses.replace(GENERATOR, tanh=False)).named_children())


def test_the_first_layer_of_the_critic_has_no_norm() -> None:
    names = [name for name, _ in RadfordCritic(CRITIC).named_children()]
    assert "norm1" not in names
    assert {"norm2", "norm3", "act1", "sigmoid"} <= set(names)


@pytest.mark.parametrize("config", [GENERATOR, CRITIC])
def test_settings_survive_json(config: RadfordConfig | RadfordCriticConfig) -> None:
    assert type(config).from_json(json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize("channels", [(), (0,), (4,) * 10])
def test_sizes_are_checked(channels: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError):
        RadfordConfig(latent_size=3, channels=channels)
    with pytest.raises(ConfigError):
        RadfordCriticConfig(channels=channels)
