# SPDX-License-Identifier: MIT
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from egbas.cli import app
from egbas.errors import ConfigError


def test_layers_table() -> None:
    result = CliRunner().invoke(app, ["layers", "dcgan-mnist-2d"])
    assert result.exit_code == 0
    for word in ("relu1", "128 x 4 x 4", "relu4", "12544", "tanh"):
        assert word in result.stdout


def test_layers_as_json() -> None:
    listed = json.loads(CliRunner().invoke(app, ["layers", "dcgan-mnist", "--json"]).stdout)
    assert [layer["number"] for layer in listed] == [1, 2, 3, 4, 5]
    told = {"number": 1, "path": "relu1", "kind": "ReLU", "shape": [128, 4, 4], "units": 2048}
    assert listed[0] == told | {"past": 0.0, "instead": None}


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


SKIPPING = """
import egbas, torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lift, self.back = nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x):
        return x + 0.1 * self.back(torch.relu(self.lift(x)))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.block, self.out = Block(), nn.Linear(4, 4)

    def forward(self, z, c, mode="random"):
        assert mode == "const"
        return self.out(self.block(z) + c)

def generator():
    net = Net().eval()
    net.latent = egbas.LatentSpace(shape=(4,))
    return net
"""


def test_layers_show_what_a_skip_carries_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "skipping_net.py").write_text(SKIPPING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["layers", "skipping_net:generator", "--input", "c=[0.5,0,0,1]", "--input", "mode=const"]
    (layer,) = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert layer["past"] > 0.9
    assert layer["instead"] == "block"
    text = CliRunner().invoke(app, words).stdout
    for word in ("past", "instead", "joined at", "block ", "with c=a tensor of 1 x 4, mode=const"):
        assert word in text
    refused = CliRunner().invoke(app, words[:-2])
    assert refused.exit_code == 2
    assert "AssertionError" in refused.stderr


def test_every_command_that_runs_a_network_takes_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "skipping_net.py").write_text(SKIPPING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    given = [
        "--model",
        "skipping_net:generator",
        "--layer",
        "block",
        "--input",
        "c=[0.5,0,0,1]",
        "--input",
        "mode=const",
    ]
    few = ["--max-steps", "20"]
    for words in (
        ["estimate", "--iterations", "20"],
        ["explore", "--iterations", "20", "--samples", "0", "--out", "run"],
        ["path", "--level", "3", "--samples", "4", "--max-evaluations", "100", "--out", "path"],
        ["neighbours", "--bank", "50", "--count", "2", "--out", "near"],
        ["sanity", "--samples", "4", "--max-evaluations", "100", "--sets", "1", "--out", "sane"],
    ):
        result = CliRunner().invoke(app, [*words, *given, *few])
        assert result.exit_code == 0, (words, result.stderr)
    given_to_compare: list[Any] = []

    def seen(*_: Any, **known: Any) -> None:
        given_to_compare.append(known["inputs"])
        raise ConfigError("seen")

    monkeypatch.setattr("egbas.exploration.explore.explore", seen)
    assert CliRunner().invoke(app, ["compare", *given, "--out", "compared"]).exit_code == 2
    assert given_to_compare[0]["mode"] == "const"
    assert "--input" in (tmp_path / "sane" / "sanity.html").read_text()
    assert "--input" in (tmp_path / "path" / "path.html").read_text()
    assert json.loads((tmp_path / "path" / "path.json").read_text())["inputs"]["mode"] == "const"
