# SPDX-License-Identifier: MIT
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from egbas.beropt import error_of
from egbas.cli import app
from egbas.exploration import path as exploring
from tests.commands import once

SMALL = ["path", "--model", "egbas.cli.selftest:small_network", "--latent-size", "2", "--samples", "20"]
FILES = {"path.html", "path.json", "path.png", "path.safetensors", "DONE"}


def path(*words: str) -> Result:
    return CliRunner().invoke(app, once([*SMALL, *words]))


def stopped(result: Result, place: Path, *messages: str) -> None:
    """The command stopped with code 2 and one line, and left nothing behind."""
    assert result.exit_code == 2, (result.stderr, result.exception)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    for message in messages:
        assert message in result.stderr
    assert not place.exists()


@pytest.fixture(scope="module")
def dcgan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """The command as a user types it, but for a bound on its steps; once for all tests."""
    out = tmp_path_factory.mktemp("runs") / "path"
    words = ["path", "--layer", "1-2", "--level", "1,5", "--samples", "20", "--max-steps", "100"]
    words += ["--max-evaluations", "500"]
    return CliRunner().invoke(app, once([*words, "--json", "--quiet", "--out", str(out)])), out


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own; user modules are imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    # Drawn for real with ``dcgan`` and in tests/report; here it would be most of the time.
    monkeypatch.setattr("egbas.report.path_page.render_path", lambda *_: "<!DOCTYPE html>")
    monkeypatch.setattr("egbas.report.path_page.figure_of", lambda *_: Blank())
    return tmp_path


class Blank:
    """A figure that takes no time."""

    def savefig(self, file: Any, **_: object) -> None:
        file.write(b"png")


def test_all_files_are_written(dcgan: tuple[Result, Path]) -> None:
    result, out = dcgan
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert {file.name for file in out.iterdir()} == FILES
    assert (out / "path.html").read_text().startswith("<!DOCTYPE html>")
    Image.open(out / "path.png").verify()


def test_json_alone_is_on_stdout(dcgan: tuple[Result, Path]) -> None:
    result, out = dcgan
    printed = json.loads(result.stdout)
    assert printed == json.loads((out / "path.json").read_text())
    assert printed.keys() == {"key", "model", "output", "inputs", "boundary", "seed", "query", "source", "rows"}
    assert (printed["model"], printed["seed"]) == ("dcgan-mnist-2d", 0)


def test_rows_are_layers_by_levels(dcgan: tuple[Result, Path]) -> None:
    rows = json.loads(dcgan[0].stdout)["rows"]
    assert [(row["layer"], row["level"]) for row in rows] == [(1, 1), (1, 5), (2, 1), (2, 5)]
    for coarse, fine in (rows[:2], rows[2:]):
        assert coarse["units"] < fine["units"]
        assert fine["freedom"] < coarse["freedom"]
        assert fine["log10_mass"] < coarse["log10_mass"] <= 0
    for row in rows:
        assert 0 < row["error"] <= error_of(row["level"])
        assert row["status"] in ("CONVERGED", "NOT_CONVERGED", "PRIOR")
        assert any(name.startswith("class ") for name in row["judges"])  # the embedded classifier
    assert rows[3]["freedom"] < rows[1]["freedom"]  # deeper layers hold more


def test_the_tensors_of_every_point_are_there(dcgan: tuple[Result, Path]) -> None:
    tensors, rows = load_file(dcgan[1] / "path.safetensors"), json.loads(dcgan[0].stdout)["rows"]
    assert tensors["query"].tolist() == json.loads(dcgan[0].stdout)["query"]
    for row in rows:
        place = f"{row['layer']}/{row['level']}"
        assert len(tensors[f"{place}/units"]) == row["units"]
        assert tensors[f"{place}/latents"].shape == (row["samples"], 2)
        assert tensors[f"{place}/freedom"].shape == (1, 28, 28)


def test_the_page_shows_every_point_and_the_command(dcgan: tuple[Result, Path]) -> None:
    page = (dcgan[1] / "path.html").read_text()
    for text in ("layer 1 (relu1)", "layer 2 (relu2)", "level 1", "level 5", "error at most 0.5"):
        assert text in page
    assert "egbas path --model dcgan-mnist-2d --layer 1,2 --level 1,5 --seed 0 --samples 20" in page


def test_a_table_is_printed(here: Path) -> None:
    result = path("--layer", "1", "--level", "1-3", "--out", "out")
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert all(heading in result.stdout for heading in ("layer", "units", "error", "freedom", "R-hat"))
    assert str(here / "out" / "path.html") in result.stdout
    rows = json.loads((here / "out" / "path.json").read_text())["rows"]
    assert [row["level"] for row in rows] == [1, 2, 3]


def test_quiet_says_nothing(here: Path) -> None:
    result = path("--layer", "1", "--level", "3", "--out", "out", "--quiet")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_query_from_a_file_and_its_seed_write_the_same_path(here: Path) -> None:
    assert path("--layer", "1", "--level", "3", "--seed", "5", "--out", "one", "--quiet").exit_code == 0
    words = ["--latent", "one/path.safetensors", "--seed", "5", "--out", "two", "--quiet"]
    assert path("--layer", "1", "--level", "3", *words).exit_code == 0
    one, two = (load_file(here / name / "path.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    one, two = (json.loads((here / name / "path.json").read_text()) for name in ("one", "two"))
    assert one.pop("key") != two.pop("key")  # how a query was named is a part of what a finished path is known by
    assert one == two
    assert one["query"] == torch.randn(1, 2, generator=torch.Generator().manual_seed(5))[0].tolist()


def test_a_focus_judges_and_features(here: Path) -> None:
    (here / "user_path_judges.py").write_text(
        "def corner(images):\n    return {'corner': images[:, 0, 0, 0]}\n"
        "def left(images):\n    return images[..., :2].flatten(1)\n"
    )
    words = ["--focus", "0,0,2,4", "--judge", "user_path_judges:corner", "--features", "user_path_judges:left"]
    result = path("--layer", "1", "--level", "3", *words, "--out", "out", "--json")
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert json.loads(result.stdout)["rows"][0]["judges"].keys() == {"brightness", "contrast", "corner"}


def test_chains_that_do_not_converge_are_told(here: Path) -> None:
    words = ["--samples", "100000", "--max-evaluations", "1"]
    result = path("--layer", "1", "--level", "3", *words, "--out", "out", "--quiet")
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert "layer 1, level 3: not converged after" in result.stderr
    assert json.loads((here / "out" / "path.json").read_text())["rows"][0]["status"] == "NOT_CONVERGED"


def test_a_finished_directory_is_refused_without_overwrite(here: Path) -> None:
    (here / "out").mkdir()
    for name in ("path.json", "DONE"):
        (here / "out" / name).touch()
    result = path("--layer", "1", "--level", "3", "--out", "out")
    assert result.exit_code == 2
    assert "other settings" in result.stderr and "--overwrite" in result.stderr
    assert path("--layer", "1", "--level", "3", "--out", "out", "--overwrite", "--quiet").exit_code == 0
    assert {file.name for file in (here / "out").iterdir()} == FILES
    (here / "out" / "mine.txt").touch()
    result = path("--layer", "1", "--level", "3", "--out", "out", "--overwrite")
    assert (result.exit_code, "left alone" in result.stderr) == (2, True)


def test_the_same_command_again_computes_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--layer", "1", "--level", "3", "--max-steps", "60", "--max-evaluations", "500", "--out", "out"]
    first = path(*words, "--json")
    assert not (here / ".out.cells").exists()
    before = {file.name: file.stat().st_mtime_ns for file in (here / "out").iterdir()}
    monkeypatch.setattr("egbas.exploration.path.explore_path", None)
    again = path(*words, "--json")
    assert (again.exit_code, again.stdout) == (0, first.stdout), again.stderr
    assert {file.name: file.stat().st_mtime_ns for file in (here / "out").iterdir()} == before
    assert "finished before" in path(*words).stdout


def test_a_path_that_was_stopped_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--layer", "1", "--level", "2-3", "--max-steps", "60", "--max-evaluations", "500"]
    point = exploring._point
    made: list[int] = []

    def stopping(problem: Any, result: Any, level: int, *others: Any) -> Any:
        if level == 3 and not made.count(-1):
            made.append(-1)
            raise KeyboardInterrupt
        made.append(level)
        return point(problem, result, level, *others)

    monkeypatch.setattr(exploring, "_point", stopping)
    stopped = path(*words, "--out", "out")
    assert stopped.exit_code == 130
    assert f"finished lies in {here / '.out.cells'}" in " ".join(stopped.stderr.split())
    assert not (here / "out").exists() and (here / ".out.cells" / "cells").is_dir()
    again = path(*words, "--out", "out", "--json")
    assert (again.exit_code, made) == (0, [2, -1, 3]), again.stderr
    assert not (here / ".out.cells").exists()
    whole = path(*words, "--out", "whole", "--store", "store", "--json")
    assert json.loads(again.stdout) == json.loads(whole.stdout)
    made.clear()
    other = path(*words, "--out", "other", "--store", "store", "--json")  # what is in a store is not made again
    assert (json.loads(other.stdout), made) == (json.loads(whole.stdout), [])


def test_one_path_and_several_are_kept_apart(here: Path) -> None:
    words = ["--layer", "1", "--level", "3", "--max-steps", "60", "--max-evaluations", "500", "--quiet"]
    assert path(*words, "--out", "one").exit_code == 0
    several = path(*words, "--seed", "1,2", "--out", "one")
    assert (several.exit_code, "holds one result itself" in several.stderr) == (2, True)
    (here / "many" / "seed-1").mkdir(parents=True)
    (here / "many" / "seed-1" / "path.json").touch()
    single = path(*words, "--out", "many")
    assert (single.exit_code, "holds several results, a folder each (seed-1)" in single.stderr) == (2, True)


def test_the_directory_is_named_after_the_model_and_the_query(here: Path) -> None:
    assert path("--layer", "1", "--level", "3", "--seed", "4", "--quiet").exit_code == 0
    (place,) = (here / "runs").iterdir()
    assert place.name == "path-egbas.cli.selftest-small_network-s4"


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["--layer", "3-1"], ["--layer '3-1'", "runs backwards"]),
        (["--layer", "9"], ["9"]),
        (["--layer", "relu9"], ["relu9"]),
        (["--level", "0"], ["there is no level 0", "to 8"]),
        (["--level", "1-9"], ["there is no level 9", "to 8"]),
        (["--level", "fine"], ["--level 'fine'", "is no number"]),
        (["--level", "5-1"], ["runs backwards"]),
        (["--seed", "-1"], ["--seed '-1'", "is no number"]),
        (["--latent", "missing.npy"], ["no file missing.npy"]),
        (["--latent-size", "2x0"], ["--latent-size '2x0'"]),
        (["--model", "dcgan-mnist-2"], ["did you mean"]),
        (["--focus", "0,0,9,9"], ["does not lie in the image of 4 x 4"]),
        (["--focus", "missing.png"], ["neither a box"]),
        (["--judge", "user_nothing:f"], ["no module 'user_nothing'", "--judge"]),
        (["--features", "user_nothing:f"], ["no module 'user_nothing'", "--features"]),
        (["--geometry", "round"], ["geometry 'round'"]),
        (["--device", "quantum"], ["device 'quantum'"]),
    ],
    ids=" ".join,
)
def test_bad_settings_end_with_one_line(here: Path, words: list[str], messages: list[str]) -> None:
    first = [] if "--layer" in words else ["--layer", "1"]
    stopped(path(*first, "--level", "3", "--out", "out", *words), here / "out", *messages)


def test_a_query_outside_the_prior_ends_with_one_line(here: Path) -> None:
    (here / "user_path_far.py").write_text(
        "from egbas.cli.selftest import small_network\nfrom egbas.latent import LatentSpace\n"
        "def make():\n    net = small_network()\n"
        "    net.latent = LatentSpace(shape=(2,), prior='uniform', bound=0.01)\n    return net\n"
    )
    np.save("far.npy", np.array([0.3, -0.2]))
    words = [
        "path",
        "--model",
        "user_path_far:make",
        "--latent",
        "far.npy",
        "--layer",
        "1",
        "--level",
        "8",
        "--out",
        "out",
    ]
    stopped(CliRunner().invoke(app, words), here / "out", "outside")


def test_several_queries_have_a_directory_each_and_go_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--seed", "3,5", "--layer", "1", "--level", "2", "--max-steps", "60", "--max-evaluations", "500"]
    words += ["--samples", "5", "--out", str(out)]
    first = path(*words, "--quiet")
    assert first.exit_code == 0, (first.stderr, first.exception)
    assert {place.name for place in out.iterdir()} == {"seed-3", "seed-5"}
    assert {file.name for file in (out / "seed-3").iterdir()} == FILES
    before = (out / "seed-3" / "path.json").stat().st_mtime_ns
    (out / "seed-5" / "DONE").unlink()
    again = path(*words, "--json")
    assert again.exit_code == 0, (again.stderr, again.exception)
    told = json.loads(again.stdout)
    assert [told[name]["seed"] for name in ("seed-3", "seed-5")] == [3, 5]
    assert (out / "seed-3" / "path.json").stat().st_mtime_ns == before
    other = path(*words, "--mass")
    assert (other.exit_code, "finished result of other settings" in other.stderr) == (2, True)
