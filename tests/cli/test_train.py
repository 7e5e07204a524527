# SPDX-License-Identifier: MIT
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from egbas.cli import app
from egbas.training import recipes
from egbas.zoo.models import cards


def test_hands_the_work_to_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, Path, Path]] = []

    def train(name: str, data: Path, out: Path, progress: Any) -> Any:
        seen.append((name, data, out))
        progress(1, 2, "half")
        return cards()[0]

    monkeypatch.setattr(recipes, "train", train)
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["train", "lenet-mnist", "--data", str(tmp_path), "--out", str(out)])
    assert result.exit_code == 0, result.stderr
    assert seen == [("lenet-mnist", tmp_path, out)]
    assert ".safetensors" in result.stdout


@pytest.mark.parametrize(
    ("name", "message"), [("lenet-minst", "did you mean 'lenet-mnist'"), ("lenet-mnist", "train-images")]
)
def test_bad_names_and_missing_data(tmp_path: Path, name: str, message: str) -> None:
    result = CliRunner().invoke(app, ["train", name, "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()  # a failed command leaves the folder as it was


def test_an_output_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    words = ["train", "lenet-mnist", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "is a file; name a folder" in result.stderr
