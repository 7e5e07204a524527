# SPDX-License-Identifier: MIT
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from egbas.cli import app
from egbas.cli.estimate import span


def test_a_table_and_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["estimate", "--layer", "4", "--iterations", "100"])
    assert result.exit_code == 0, result.output
    assert all(stage in result.output for stage in ("cut", "beropt", "gbrrt", "certificate", "images"))
    assert "GB of memory at the peak" in result.output
    assert not list(tmp_path.iterdir())


def test_json() -> None:
    result = CliRunner().invoke(app, ["estimate", "--layer", "4", "--json"])
    found = json.loads(result.stdout)
    assert found["low"] == pytest.approx(sum(stage["low"] for stage in found["stages"]))
    assert set(found) == {"stages", "peak_bytes", "low", "high"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer", "99"], "99"),
        (["--model", "dcgan-mist"], "did you mean"),
        (["--iterations", "0"], "iterations"),
        (["--geometry", "round"], "round"),
    ],
)
def test_bad_input(options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["estimate", *options])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1.14, 6.83, "1.1 to 6.8 s"),
        (0.5, 0.5, "0.5 s"),
        (12.4, 118.0, "12 to 118 s"),
        (600.0, 90_000.0, "10 to 1,500 min"),
    ],
)
def test_spans(low: float, high: float, text: str) -> None:
    assert span(low, high) == text
