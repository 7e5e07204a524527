# SPDX-License-Identifier: MIT
import json
from pathlib import Path

import pytest
import torch
from click.testing import Result
from torch import nn
from typer.testing import CliRunner

from egbas.cli import app
from egbas.cli.sanity import DEFAULT_EVALUATIONS, DEFAULT_SETS
from egbas.evaluation.sanity import MAX_EVALUATIONS, RANDOM_SETS
from tests.commands import once

SMALL = ["sanity", "--model", "egbas.cli.selftest:small_network", "--latent-size", "2"]
SMALL += ["--samples", "20", "--max-evaluations", "2000", "--sets", "1", "--max-steps", "100"]
FILES = {"sanity.html", "sanity.json", "DONE"}


def sanity(*words: str) -> Result:
    return CliRunner().invoke(app, once([*SMALL, *words]))


def stopped(result: Result, place: Path, *messages: str) -> None:
    """The command stopped with code 2 and one line, and left nothing behind."""
    assert result.exit_code == 2, (result.stderr, result.exception)
    assert result.stdout == ""
    for message in messages:
        assert message in result.stderr
    assert not place.exists()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """The command once for all tests."""
    out = tmp_path_factory.mktemp("runs") / "sanity"
    return sanity("--json", "--quiet", "--out", str(out)), out


def test_the_files_are_written(small: tuple[Result, Path]) -> None:
    result, out = small
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert {file.name for file in out.iterdir()} == FILES
    assert (out / "sanity.html").read_text().startswith("<!DOCTYPE html>")


def test_json_alone_is_on_stdout(small: tuple[Result, Path]) -> None:
    result, out = small
    printed = json.loads(result.stdout)
    assert printed == json.loads((out / "sanity.json").read_text())
    questions = {"randomised_weights", "random_sets", "necessity", "samplers"}
    assert printed.keys() == {
        "model",
        "layer",
        "level",
        "seed",
        "query",
        "warnings",
        "output",
        "inputs",
        "boundary",
        "source",
        *questions,
    }
    assert all(printed[name]["verdict"] for name in questions)


def test_the_page_has_the_command(small: tuple[Result, Path]) -> None:
    page = (small[1] / "sanity.html").read_text()
    assert "egbas sanity --model egbas.cli.selftest:small_network --layer 1 --seed 0 --level 6" in page
    assert "--samples 20 --max-evaluations 2000 --sets 1 --max-steps 100" in page


def test_the_command_has_what_reads_the_checkpoint(tmp_path: Path) -> None:
    decoder = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 64), nn.Tanh())
    file, out = tmp_path / "m.pth", tmp_path / "sanity"
    torch.save(decoder.state_dict(), file)
    result = sanity("--model", str(file), "--latent-size", "3", "--activation", "relu,tanh", "--out", str(out))
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert "--activation relu,tanh" in (out / "sanity.html").read_text()


def test_the_same_seed_gives_the_same_file_and_verdicts_are_printed(small: tuple[Result, Path], tmp_path: Path) -> None:
    result = sanity("--out", str(tmp_path / "again"))
    assert (tmp_path / "again" / "sanity.json").read_bytes() == (small[1] / "sanity.json").read_bytes()
    for name in ("randomised weights: ", "random sets: ", "necessity: ", "samplers: ", "page: "):
        assert name in result.stdout


def test_a_finished_result_is_not_replaced(small: tuple[Result, Path]) -> None:
    before = (small[1] / "sanity.json").stat().st_mtime_ns
    result = sanity("--out", str(small[1]))
    assert result.exit_code == 2 and "--overwrite" in result.stderr
    assert (small[1] / "sanity.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layer", "9"], "layer"),
        (["--boundary", "turning"], "has no turning point"),
        (["--layer", ""], "--layer"),
        (["--level", "9"], "--level"),
        (["--sets", "0"], "--sets"),
        (["--samples", "0"], "--samples"),
        (["--max-evaluations", "0"], "--max-evaluations"),
        (["--latent", "missing.npy"], "missing.npy"),
        (["--model", "nothing"], "nothing"),
    ],
)
def test_bad_input_is_told_before_work(words: list[str], message: str, tmp_path: Path) -> None:
    stopped(sanity(*words, "--out", str(tmp_path / "out")), tmp_path / "out", message)


def test_the_defaults_are_those_of_the_library() -> None:
    assert (DEFAULT_SETS, DEFAULT_EVALUATIONS) == (RANDOM_SETS, MAX_EVALUATIONS)
