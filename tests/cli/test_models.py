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
    assert listed[0] == told | {"past": 0.0, "instead": None, "channels_last": False}


def test_layers_of_the_users_network() -> None:
    words = ["layers", "egbas.cli.selftest:small_network", "--latent-size", "2", "--json"]
    assert json.loads(CliRunner().invoke(app, words).stdout)[0]["units"] == 24


def test_paths_are_listed_as_they_are_typed() -> None:
    words = ["layers", "egbas.cli.selftest:small_network", "--latent-size", "2"]
    text = CliRunner().invoke(app, words).stdout
    assert " .1 " in text
    assert "--layer .3 the module of the path 3" in text
    assert "--layer .3" not in CliRunner().invoke(app, ["layers", "dcgan-mnist"]).stdout


SMOOTH = """
import torch
from torch import nn

def smooth():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 6), nn.SiLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 4), nn.Tanh()).eval()
"""


def test_layers_tell_where_boundaries_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "smooth_networks.py").write_text(SMOOTH)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["layers", "smooth_networks:smooth", "--latent-size", "2", "--boundary", "turning"]
    listed = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert [layer["boundary"] for layer in listed] == [[pytest.approx(-1.2784645, abs=1e-5)] * 2, None, None]
    text = CliRunner().invoke(app, words).stdout
    assert "-1.28" in text
    assert "none" in text
    result = CliRunner().invoke(app, [*words[:-1], "half"])
    assert result.exit_code == 2
    assert "expected zero, turning, or quantile:Q" in result.stderr


def test_layers_of_a_generator_with_a_classifier() -> None:
    words = ["--classifier", "lenet-mnist", "--json"]
    behind = json.loads(CliRunner().invoke(app, ["layers", "dcgan-mnist-2d", *words]).stdout)
    paths = [layer["path"] for layer in behind]
    assert paths[0] == "generator.relu1" and "classifier.relu2" in paths
    alone = json.loads(CliRunner().invoke(app, ["layers", "lenet-mnist", "--json"]).stdout)
    assert [layer["path"] for layer in alone] == [path for path in paths if path.startswith("classifier.")]
    assert [layer["past"] for layer in alone] == [0.0] * 3  # the logits, which the image does not hang on
    result = CliRunner().invoke(app, ["layers", "dcgan-mnist-2d", *words, "--input", "c=3"])
    assert result.exit_code == 2 and "no argument 'c'" in result.stderr


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


def test_a_network_without_numbered_layers_names_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import torch\n\nclass Sine(torch.nn.Module):\n    def forward(self, x):\n        return torch.sin(x)\n\n"
    code += "def net():\n    return torch.nn.Sequential(torch.nn.Linear(2, 3), Sine(), torch.nn.Linear(3, 4)).eval()\n"
    (tmp_path / "sine_net.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    text = CliRunner().invoke(app, ["layers", "sine_net:net", "--latent-size", "2"]).stdout
    assert "No non-linearity that egbas numbers was seen (a sine is none). --layer takes a module: .0, .1, .2" in text


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


@pytest.mark.parametrize(
    ("command", "called"),
    [
        ("explore", "egbas.exploration.explore.explore"),
        ("compare", "egbas.cli.workshop.explore"),
        ("path", "egbas.exploration.path.explore_path"),
        ("sanity", "egbas.evaluation.sanity.check_sanity"),
        ("neighbours", "egbas.exploration.supports.supports_of"),
        ("estimate", "egbas.exploration.estimate.estimate"),
    ],
)
def test_every_command_that_runs_a_network_takes_inputs(
    command: str, called: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "skipping_net.py").write_text(SKIPPING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    given: list[Any] = []

    def seen(*problems: Any, **known: Any) -> None:
        first = problems[0]  # a network of a module, a problem with its network, or a network that has the inputs
        given.append(known["inputs"] if "inputs" in known else getattr(first, "network", first).inputs)
        raise ConfigError("so far and no further")

    monkeypatch.setattr(called, seen)
    words = [command, "--model", "skipping_net:generator", "--layer", "block", "--input", "c=[0.5,0,0,1]"]
    result = CliRunner().invoke(app, [*words, "--input", "mode=const"])
    assert result.exit_code == 2
    assert "so far and no further" in result.stderr
    assert given[0]["mode"] == "const"
    assert given[0]["c"].tolist() == [[0.5, 0, 0, 1]]


def test_a_run_with_inputs_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "skipping_net.py").write_text(SKIPPING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["explore", "--model", "skipping_net:generator", "--layer", "block", "--input", "c=[0.5,0,0,1]"]
    few = ["--input", "mode=const", "--iterations", "20", "--max-steps", "20", "--samples", "0", "--out", "run"]
    result = CliRunner().invoke(app, [*words, *few])
    assert result.exit_code == 0, result.stderr
    assert "with c=a tensor of 1 x 4, mode=const" in result.stdout
    assert (tmp_path / "run" / "inputs.safetensors").is_file()
