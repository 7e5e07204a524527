# SPDX-License-Identifier: MIT
import json
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import nn

from egbas.errors import ConfigError
from egbas.zoo.sequential import ACTIVATIONS, SequentialConfig, SequentialGenerator, activation

CONV: dict[str, Any] = {"kind": "conv_transpose", "in_channels": 5, "out_channels": 4, "kernel_size": 4, "stride": 1}
CONV |= {"padding": 0, "output_padding": 0, "bias": False, "name": "conv1"}
LAYERS: tuple[dict[str, Any], ...] = (
    CONV,
    {"name": "norm1", "kind": "batch_norm", "num_features": 4, "eps": 1e-5},
    {"name": "act1", "kind": "activation", "function": "leaky_relu:0.1"},
    {"name": "up", "kind": "upsample", "scale_factor": 2, "mode": "nearest"},
    {"name": "flat", "kind": "flatten"},
    {"name": "last", "kind": "linear", "in_features": 256, "out_features": 9, "bias": True},
    {"name": "image", "kind": "unflatten", "shape": [1, 3, 3]},
)
CONFIG = SequentialConfig(latent=(5, 1, 1), layers=LAYERS)


def test_a_network_has_its_layers_by_name() -> None:
    net = SequentialGenerator(CONFIG)
    assert [name for name, _ in net.named_children()] == ["conv1", "norm1", "act1", "up", "flat", "last", "image"]
    assert net.eval()(torch.zeros(2, 5, 1, 1)).shape == (2, 1, 3, 3)
    assert isinstance(net.act1, nn.LeakyReLU)
    assert net.act1.negative_slope == 0.1


def test_a_config_comes_back_from_json() -> None:
    assert SequentialConfig.from_json(json.loads(json.dumps(asdict(CONFIG)))) == CONFIG


@pytest.mark.parametrize("name", [*ACTIVATIONS, "leaky_relu", "LEAKY_RELU:0.3", " relu "])
def test_activations_by_name(name: str) -> None:
    assert isinstance(activation(name), nn.Module)


def test_no_activation_is_none() -> None:
    assert activation("none") is None


@pytest.mark.parametrize("name", ["", "rlu", "relu:0.2", "leaky_relu:", "leaky_relu:x", "leaky_relu:1.5", "none:1"])
def test_unknown_activations_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown; expected one of relu|no number from 0 to 1"):
        activation(name)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "lstm"},
        {"name": "forward"},
        {"name": "a.b"},
        {"name": 7},
        {"kernel_size": 0},
        {"kernel_size": True},
        {"stride": 2.0},
        {"padding": -1},
        {"bias": 1},
        {"in_channels": 2**40},
        {"more": 1},
    ],
)
def test_layers_that_are_none_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SequentialConfig(latent=(5, 1, 1), layers=(CONV | change,))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"latent": [5]},
        {"latent": [], "layers": [CONV]},
        {"latent": ["a"], "layers": [CONV]},
        {"latent": [5], "layers": []},
        {"latent": [5], "layers": [1]},
        {"latent": [5], "layers": [{"name": "a", "kind": "unflatten", "shape": 3}]},
        {"latent": [5], "layers": [{"name": "a", "kind": "activation", "function": "rlu"}]},
        {"latent": [5], "layers": [LAYERS[1] | {"eps": 0.0}]},
        {"latent": [5], "layers": [LAYERS[3] | {"mode": "bilinear"}]},
        {"latent": [5], "layers": [CONV], "more": 1},
    ],
)
def test_damaged_settings_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SequentialConfig.from_json(values)
