# SPDX-License-Identifier: MIT
"""A failed command leaves the folder as it was, but for what a second call goes on from."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from egbas.cli import app

LATE = """
calls = 0

def judge(images):
    global calls
    calls += 1
    if calls > 3:
        raise ValueError("late")
    return {"corner": images[:, 0, 0, 0]}
"""
SHORT = "--max-steps", "50", "--quiet"
FEW = "--samples", "5", "--max-evaluations", "1000"
TINY = "--iterations", "2", "--step-size", "50"  # no candidate is accepted
FAILING = [
    ["explore", *SHORT, *FEW, "--judge", "late_judge:judge"],
    ["explore", *SHORT, *TINY, "--samples", "0"],
    ["path", *SHORT, *FEW, "--layer", "1", "--level", "1,3", "--judge", "late_judge:judge"],
    ["compare", *SHORT, *TINY],
    ["neighbours", *SHORT, "--bank", "no-such.npy"],
    ["sanity", "--layer", "99"],
    ["reproduce", "table1", "--model", "no-such"],
    ["train", "dcgan-mnist", "--data", "no-such"],
]


@pytest.mark.parametrize("words", FAILING, ids=lambda words: " ".join(words[:1] + words[-2:]))
def test_nothing_is_left(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.delitem(__import__("sys").modules, "late_judge", raising=False)
    (tmp_path / "late_judge.py").write_text(LATE)
    result = CliRunner().invoke(app, [*words, "--out", "deep/er/out"])
    assert result.exit_code == 2, (result.output, result.exception)
    kept = tmp_path / "deep" / "er" / ".out.cells"  # supporting sets that were found before the judge failed
    assert all((place / "DONE").exists() for place in kept.glob("*/[0-9a-f]*"))
    left = [path for path in tmp_path.rglob("*") if path.is_file() and kept not in path.parents]
    assert [path.name for path in left] == ["late_judge.py"]
    assert kept.exists() == (words[0] == "path") == (tmp_path / "deep").exists()
