# SPDX-License-Identifier: MIT
import json

from typer.testing import CliRunner

from egbas.cli import app


def test_layers_table() -> None:
    result = CliRunner().invoke(app, ["layers", "dcgan-mnist-2d"])
    assert result.exit_code == 0
    for word in ("relu1", "128 x 4 x 4", "relu4", "12544", "tanh"):
        assert word in result.stdout


def test_layers_as_json() -> None:
    listed = json.loads(CliRunner().invoke(app, ["layers", "dcgan-mnist", "--json"]).stdout)
    assert [layer["number"] for layer in listed] == [1, 2, 3, 4, 5]
    assert listed[0] == {"number": 1, "path": "relu1", "kind": "ReLU", "shape": [128, 4, 4], "units": 2048}


def test_layers_of_the_users_network() -> None:
    words = ["layers", "egbas.cli.selftest:small_network", "--latent-size", "2", "--json"]
    assert json.loads(CliRunner().invoke(app, words).stdout)[0]["units"] == 24


def test_paths_are_listed_as_they_are_typed() -> None:
    words = ["layers", "egbas.cli.selftest:small_network", "--latent-size", "2"]
    text = CliRunner().invoke(app, words).stdout
    assert " .1 " in text
    assert "--layer .3 the module of the path 3" in text
    assert "--layer .3" not in CliRunner().invoke(app, ["layers", "dcgan-mnist"]).stdout


def test_layers_of_an_unknown_model() -> None:
    result = CliRunner().invoke(app, ["layers", "dcgan"])
    assert result.exit_code == 2
    assert "there are:" in result.stderr


def test_models() -> None:
    text = CliRunner().invoke(app, ["models"]).stdout
    for word in ("dcgan-mnist-2d", "2 uniform", "64 normal", "test accuracy"):
        assert word in text
    cards = json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)
    assert "lenet-mnist" in [card["name"] for card in cards]
