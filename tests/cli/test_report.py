# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from egbas.cli import app
from egbas.storage import save_run
from tests.cli.test_workshop import shop


def report(*words: str) -> Result:
    return CliRunner().invoke(app, ["report", *words])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = shop().explore(shop().task(1, None, 3))
    return save_run(run, tmp_path_factory.mktemp("runs") / "run", pictures=False)


def test_pictures_are_made_of_a_run_that_lacks_them(finished: Path) -> None:
    assert not (finished / "report.html").exists()
    result = report(str(finished), "--quiet", "--allow-code")
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert "report.html" in result.stdout and "samples.png" in result.stdout
    Image.open(finished / "samples.png").verify()
    assert "small_network" in (finished / "report.html").read_text()
    before = (finished / "report.html").stat().st_mtime_ns
    again = report(str(finished))
    assert again.exit_code == 0 and "there already" in again.stdout
    assert (finished / "report.html").stat().st_mtime_ns == before
    assert report(str(finished), "--overwrite", "--quiet", "--allow-code").exit_code == 0
    assert (finished / "report.html").stat().st_mtime_ns > before


def test_code_from_elsewhere_is_not_run_unasked(finished: Path) -> None:
    result = report(str(finished), "--overwrite")
    assert result.exit_code == 2 and "would run code" in result.stderr


def test_a_folder_of_a_sweep_is_told(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    result = report(str(tmp_path))
    assert result.exit_code == 2 and "is a sweep" in result.stderr


def test_another_model_is_refused(finished: Path) -> None:
    result = report(str(finished), "--overwrite", "--model", "dcgan-mnist-2d")
    assert (result.exit_code, "other weights" in result.stderr) == (2, True)


def test_what_is_no_finished_run(tmp_path: Path) -> None:
    for words, message in ((str(tmp_path), "unfinished run"), (str(tmp_path / "none"), "is no directory")):
        result = report(words)
        assert (result.exit_code, message in result.stderr) == (2, True)
