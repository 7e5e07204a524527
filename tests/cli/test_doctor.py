# SPDX-License-Identifier: MIT
import json

import pytest
from typer.testing import CliRunner

from egbas.cli import app


def test_all_is_well() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.stderr
    assert "passed" in result.stdout
    assert "torch" in result.stdout


def test_what_is_broken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> str:
        raise RuntimeError("3 samples lie outside their region")

    monkeypatch.setattr("egbas.cli.selftest.self_test", fails)
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["broken"] == ["self-test"]
    assert "3 samples" in found["self-test"]
    assert "broken: self-test" in result.stderr
