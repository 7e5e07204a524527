# SPDX-License-Identifier: MIT
import json
from dataclasses import asdict

import pytest

from egbas.errors import ConfigError
from egbas.zoo.pggan import PgganConfig, PgganCriticConfig


@pytest.mark.parametrize(
    "config",
    [
        PgganConfig(latent_size=64, channels=(8, 4)),
        PgganConfig(
            latent_size=5,
            channels=(16, 8, 4),
            image_channels=1,
            latent_norm=False,
            first_norm=False,
            norm_place="before",
            positional_bias=True,
            output="hardtanh",
        ),
        PgganCriticConfig(channels=(8, 4)),
        PgganCriticConfig(
            channels=(16, 8, 4),
            head_channels=12,
            image_channels=1,
            input_activation=False,
            pooling="before",
            groups="strided",
            group_size=16,
            unbiased=True,
        ),
    ],
)
def test_config_comes_back_from_json(config: PgganConfig | PgganCriticConfig) -> None:
    assert type(config).from_json(json.loads(json.dumps(asdict(config)))) == config


@pytest.mark.parametrize("blocks", range(2, 10))
def test_each_entry_of_channels_doubles_the_resolution(blocks: int) -> None:
    side = {2: 8, 3: 16, 4: 32, 5: 64, 6: 128, 7: 256, 8: 512, 9: 1024}[blocks]
    assert PgganConfig(latent_size=1, channels=(1,) * blocks).resolution == side
    assert PgganCriticConfig(channels=(1,) * blocks).resolution == side


def test_feature_vector_is_as_long_as_the_channels_at_4_pixels_unless_told() -> None:
    assert PgganCriticConfig(channels=(8, 4)).head_size == 8
    assert PgganCriticConfig(channels=(8, 4), head_channels=3).head_size == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": ()}, "channels has 0 entries"),
        ({"channels": (1,) * 10}, r"channels has 10 entries.*at most 9 \(1024 pixels\)"),
        ({"channels": (4, 0)}, "channels 0: expected 1 or more"),
        ({"latent_size": 0}, "latent_size 0: expected 1 or more"),
        ({"image_channels": -1}, "image_channels -1"),
    ],
)
def test_bad_sizes_of_a_generator_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PgganConfig(**{"latent_size": 4, "channels": (4, 4)} | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": ()}, "channels has 0 entries"),
        ({"head_channels": 0}, "head_channels 0: expected 1 or more"),
        ({"image_channels": 0}, "image_channels 0"),
        ({"group_size": 1}, "group_size 1 .*expected 2 or more"),
    ],
)
def test_bad_sizes_of_a_critic_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PgganCriticConfig(**{"channels": (4, 4)} | change)


@pytest.mark.parametrize("name", ["norm_place", "output"])
@pytest.mark.usefixtures("without_type_checks")
def test_unknown_flag_of_a_generator_is_told_with_what_there_is(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} 'never' is unknown; expected one of '\w+', '\w+'"):
        PgganConfig.from_json({"latent_size": 4, "channels": [4], name: "never"})


@pytest.mark.parametrize("name", ["pooling", "groups"])
@pytest.mark.usefixtures("without_type_checks")
def test_unknown_flag_of_a_critic_is_told_with_what_there_is(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} 'never' is unknown; expected one of '\w+', '\w+'"):
        PgganCriticConfig.from_json({"channels": [4], name: "never"})


def test_json_with_other_settings_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown settings colour; expected some of channels, "):
        PgganConfig.from_json({"latent_size": 4, "channels": [4], "colour": "red"})
    with pytest.raises(ConfigError, match=r"are no GeneratorConfig .*latent_size"):
        PgganConfig.from_json({"channels": [4]})
    with pytest.raises(ConfigError, match=r"are no CriticConfig .*channels"):
        PgganCriticConfig.from_json({})
