# SPDX-License-Identifier: MIT
"""``egbas explore --region class`` and ``egbas exits``, as they are typed."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

import egbas
from egbas.cli import app
from egbas.region import DecisionRegion

CODE = """
import math
import torch
from torch import nn

def generator():
    return nn.Sequential(nn.Identity(), nn.Unflatten(1, (1, 1, 2))).eval()

def judge():
    module = nn.Sequential(nn.Flatten(), nn.Linear(2, 3, bias=False))
    with torch.no_grad():
        angles = [2 * math.pi * place / 3 for place in range(3)]
        module[1].weight.copy_(torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles]))
    return module.eval()
"""
OWN = ["--model", "thirds_of_a_plane:generator", "--classifier", "thirds_of_a_plane:judge", "--latent-size", "2"]
QUICK = ["--region", "class", "--samples", "0", "--quiet"]


@pytest.fixture
def own_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in a third of the plane, whose networks are the user's own."""
    (tmp_path / "thirds_of_a_plane.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["explore", *OWN, *QUICK, "--seed", "3", "--iterations", "60", "--out", "run"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return tmp_path / "run"


def test_a_decision_region_of_the_zoo_is_explored_and_read_back(tmp_path: Path) -> None:
    words = ["explore", "--classifier", "lenet-mnist", *QUICK, "--seed", "7", "--iterations", "20"]
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["class"] == 6 and config["layer"] is None and config["region"] == {"kind": "DecisionRegion"}
    assert config["classifier"] == {"name": "lenet-mnist", "output": None} and config["beropt"] is None
    run = egbas.load_run(tmp_path / "run")
    assert isinstance(run.region, DecisionRegion) and run.region.target_class == 6 and run.beropt is None
    assert bool((run.region.margin(run.latents) >= 0).all()) and run.certificate.dtype == "float64"
    report = (tmp_path / "run" / "report.html").read_text()
    assert "decision region of class 6" in report
    assert "--classifier lenet-mnist --region class" in report


def test_exits_of_a_run(own_run: Path) -> None:
    words = ["exits", str(own_run), "--json", "--quiet"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told, out = json.loads(result.stdout), own_run.with_name("run-exits")
    assert told == json.loads((out / "exits.json").read_text())
    first = json.loads((own_run / "config.json").read_text())["class"]
    assert told["class"] == first and told["nearest"] == "gradient" and told["kept_units"] is None
    assert told["way"] == [first] * 10 + [told["routes"]["gradient"]["next_class"]] and told["way"][10] != first
    distances = [row["distance"] for row in told["classes"]]
    assert distances == sorted(distances) and told["back"]["next_class"] == first
    assert all(row["margin"] < 0 <= row["margin_before"] for row in (*told["routes"].values(), told["back"]))
    names = {path.name for path in out.iterdir()}
    assert names == {"exits.json", "exits.png", "exits.safetensors", "decisions.png", "DONE"}
    tensors = load_file(out / "exits.safetensors")
    lengths = {name: float((z - tensors["query"]).norm()) for name, z in tensors.items() if name.startswith("routes/")}
    assert lengths == pytest.approx({f"routes/{name}": row["distance"] for name, row in told["routes"].items()})
    assert float((tensors["back"] - tensors["back_start"]).norm()) == pytest.approx(told["back"]["distance"])
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2 and "--overwrite" in again.output


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["exits", str(tmp_path / "nowhere")])
    assert result.exit_code == 2 and "is no directory; expected one with a file DONE" in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--region", "digit", "--classifier", "lenet-mnist"], "got --region 'digit'; expected class"),
        (["--region", "class"], "got region='class' without a classifier"),
        (["--region", "class", "--classifier", "lenet"], "did you mean 'lenet-mnist'?"),
        (["--region", "class", "--classifier", "lenet-mnist", "--level", "3"], "got --region class and --level"),
        (["--region", "class", "--classifier", "lenet-mnist", "--layer", "1", "--delta", "0.2"], "leave one out"),
        (["--hold", "logits"], "no output 'logits' in what the network returned"),
        (["--classifier", "lenet-mnist", "--hold", "colour"], "there is no output 'colour'"),
        (["--classifier", "lenet-mnist", "--layer", "classifier.relu9"], "layer 'classifier.relu9' is not in"),
        (["--classifier", "lenet-mnist", "--focus", "0,0,9,9"], "BerOpt holds 'logits'; hold='image' has one"),
        (["--model", "pixels"], "their size is not known; pass --latent-size"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_meant_is_refused_before_any_work(words: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["explore", *words, "--out", str(tmp_path / "run")])
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())
