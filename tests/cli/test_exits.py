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

CLASS = ["explore", "--classifier", "lenet-mnist", "--region", "class", "--seed", "7", "--samples", "0", "--quiet"]


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "class"
    result = CliRunner().invoke(app, [*CLASS, "--iterations", "60", "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


def test_a_decision_region_is_explored_and_read_back(run_directory: Path) -> None:
    config = json.loads((run_directory / "config.json").read_text())
    assert config["class"] == 6 and config["layer"] is None and config["region"] == {"kind": "DecisionRegion"}
    assert config["classifier"] == {"name": "lenet-mnist", "output": None} and config["beropt"] is None
    run = egbas.load_run(run_directory)
    assert isinstance(run.region, DecisionRegion) and run.region.target_class == 6 and run.beropt is None
    assert bool((run.region.margin(run.latents) >= 0).all()) and run.certificate.dtype == "float64"
    report = (run_directory / "report.html").read_text()
    assert "decision region of class 6" in report
    assert "--classifier lenet-mnist --region class" in report


def test_exits_of_a_run(run_directory: Path, tmp_path: Path) -> None:
    words = ["exits", str(run_directory), "--out", str(tmp_path / "exits"), "--json", "--quiet"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told == json.loads((tmp_path / "exits" / "exits.json").read_text())
    assert told["class"] == 6 and told["nearest"] == "gradient" and told["kept_units"] is None
    assert told["way"][:10] == [6] * 10 and told["way"][10] == told["routes"]["gradient"]["next_class"] != 6
    distances = [row["distance"] for row in told["classes"]]
    assert distances == sorted(distances) and told["back"]["next_class"] == 6
    assert all(row["margin"] < 0 <= row["margin_before"] for row in (*told["routes"].values(), told["back"]))
    names = {path.name for path in (tmp_path / "exits").iterdir()}
    assert names == {"exits.json", "exits.png", "exits.safetensors", "decisions.png", "DONE"}
    tensors = load_file(tmp_path / "exits" / "exits.safetensors")
    region = egbas.load_run(run_directory).region
    assert isinstance(region, DecisionRegion)
    assert region.classes(tensors["routes/gradient"][None]).tolist() == [told["way"][10]]
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
