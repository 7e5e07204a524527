# SPDX-License-Identifier: MIT
import json
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from egbas.cli import app
from egbas.errors import RunDirectoryError
from egbas.storage import load_run, load_sweep
from egbas.storage.results import TableWriter
from tests.cli.test_workshop import MODEL
from tests.commands import once

pytest.importorskip("pyarrow", reason="needs the extra egbas[sweep]")

SMALL = ["sweep", "--model", MODEL, "--latent-size", "2", "--sparsity", "1", "--iterations", "40", "--half-width", "4"]
SMALL += ["--max-steps", "60", "--samples", "0", "--workers", "1", "--out", "sweep"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sweep(*words: str) -> Result:
    return CliRunner().invoke(app, once([*SMALL, *words]))


def test_a_sweep_as_a_user_types_it(here: Path) -> None:
    (here / "study.toml").write_text(f'model = "{MODEL}"\nseed = [0, 1, 2]\nlayer = 1\nsparsity = 1.0\nsamples = 7\n')
    words = ["study.toml", "--seed", "0-1", "--samples", "0", "--latent-size", "2", "--iterations", "40"]
    words += ["--half-width", "4", "--max-steps", "60", "--workers", "1", "--out", "sweep"]
    planned = CliRunner().invoke(app, ["sweep", *words, "--plan", "--json"])
    assert planned.exit_code == 0, (planned.stderr, planned.exception)
    told = json.loads(planned.stdout)
    assert (told["tasks"], told["done"], told["workers"]) == (2, 0, 1)
    assert 0 < told["seconds_low"] <= told["seconds_high"] and told["bytes_a_worker"] > 10**7
    assert not (here / "sweep").exists()  # a plan writes nothing
    result = CliRunner().invoke(app, ["sweep", *words])
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert "2 of 2 finished; 0 failed" in result.stdout and "summary.html" in result.stdout
    assert {file.name for file in (here / "sweep").iterdir()} == {"tasks", "claims", "results.parquet", "summary.html"}
    rows = list(load_sweep(here / "sweep").rows())
    assert sorted(row["seed"] for row in rows) == [0, 1]
    folder = here / "sweep" / rows[0]["folder"]
    assert not (folder / "report.html").exists()
    assert rows[0]["samples"] == json.loads((folder / "metrics.json").read_text())["samples"]
    assert load_run(folder, generator=pytest.importorskip("egbas.cli.selftest").small_network()).seed == rows[0]["seed"]
    again = CliRunner().invoke(app, ["sweep", *words, "--json"])
    counts = json.loads(again.stdout)
    assert (again.exit_code, counts["before"], counts["finished"]) == (0, 2, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "5-1"], "runs backwards"),
        (["--layer", "9"], "9"),
        (["--level", "9", "--sparsity", "1"], "there is no level 9"),
        (["--level", "2"], "leave all but one out"),
        (["--engine", "slurm"], "expected local or ray"),
        (["--shared"], "is for a Ray cluster"),
        (["--latent", "none.npy"], "there is no file none.npy"),
        (["none.toml"], "none.toml cannot be read"),
        (["--model", "dcgan-mist"], "did you mean"),
        (["--step-size", "1e-320"], "is lost in the rounding"),
        (["--step-size", "1e-320", "--plan"], "is lost in the rounding"),
    ],
)
def test_bad_settings_leave_nothing(here: Path, words: list[str], message: str) -> None:
    result = sweep(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not list(here.iterdir())


@pytest.mark.parametrize("delta", ["nan", "inf", "-1"])
def test_a_distance_that_is_none_is_refused_before_the_work(here: Path, delta: str) -> None:
    result = CliRunner().invoke(app, ["sweep", "--model", MODEL, "--layer", "1", "--delta", delta, "--plan"])
    assert result.exit_code == 2 and "positive relative distance" in result.stderr
    assert not list(here.iterdir())


def test_a_step_below_rounding_in_a_file_is_refused_before_the_work(here: Path) -> None:
    (here / "study.toml").write_text("step-size = 1e-320\n")
    result = sweep("study.toml", "--plan")
    assert (result.exit_code, "is lost in the rounding" in result.stderr) == (2, True)


def test_a_full_disk_is_told_with_what_stays_and_the_same_command_goes_on(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: TableWriter) -> None:
        raise RunDirectoryError("the disk is full") from OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(TableWriter, "flush", full)
        result = sweep("--layer", "1", "--seed", "0", "--quiet")
    assert result.exit_code == 2
    told = " ".join(result.stderr.split())
    assert f"what is finished lies in {here / 'sweep' / 'tasks'}; the same command goes on from there" in told
    assert "the disk is full" in told
    result = sweep("--layer", "1", "--seed", "0", "--json")
    assert (result.exit_code, json.loads(result.stdout)["before"]) == (0, 1)


def test_a_folder_of_something_else_is_left_alone(here: Path) -> None:
    (here / "sweep").mkdir()
    (here / "sweep" / "mine.txt").touch()
    result = sweep()
    assert (result.exit_code, "left alone" in result.stderr) == (2, True)
    assert [file.name for file in (here / "sweep").iterdir()] == ["mine.txt"]


def test_without_the_extra_it_is_told_before_the_work(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = sweep()
    assert (result.exit_code, "pip install 'egbas[sweep]'" in result.stderr) == (2, True)
    assert not list(here.iterdir())
