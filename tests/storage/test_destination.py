# SPDX-License-Identifier: MIT
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from egbas.errors import RunDirectoryError
from egbas.storage import check_destination
from egbas.storage.destination import FILES, check_writable, finished_before


def test_new_and_empty_directories_are_fine(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert check_destination(tmp_path / "a" / "b") == (tmp_path / "a" / "b").resolve()
    assert check_destination(str(tmp_path / "empty")) == (tmp_path / "empty").resolve()
    assert not (tmp_path / "a").exists()  # checking makes nothing


def test_finished_run_needs_overwrite(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).touch()
    with pytest.raises(RunDirectoryError, match="--overwrite"):
        check_destination(tmp_path)
    check_destination(tmp_path, overwrite=True)


def test_unfinished_run_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    check_destination(tmp_path)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("is_finished", [False, True])
def test_what_is_not_ours_is_never_touched(tmp_path: Path, overwrite: bool, is_finished: bool) -> None:
    (tmp_path / "thesis.tex").touch()
    if is_finished:
        (tmp_path / "DONE").touch()
    with pytest.raises(RunDirectoryError, match=r"thesis\.tex"):
        check_destination(tmp_path, overwrite)


def test_files_are_no_directories(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError, match="is a file"):
        check_destination(tmp_path / "file")
    with pytest.raises(RunDirectoryError, match="is a file"):
        check_destination(tmp_path / "file" / "run")


def test_the_current_directory_is_no_destination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunDirectoryError, match="directory you are in"):
        check_destination(".")


def nothing_is_made(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("check", [check_destination, check_writable])
def test_a_folder_that_cannot_be_written_is_told_before_the_work(
    check: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(tmp_path / "a" / "run")
    assert not list(tmp_path.iterdir())  # what was tried is taken back
    monkeypatch.setattr(os, "mkdir", nothing_is_made)
    with pytest.raises(RunDirectoryError, match="cannot be written"):
        check(tmp_path / "a" / "run")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc, where root has permission in vain")
def test_permission_is_not_enough() -> None:
    for check in (check_destination, check_writable):
        with pytest.raises(RunDirectoryError, match="cannot be written"):
            check("/proc/x")


@pytest.mark.parametrize("path", ["a" * 300, "nul\0byte", "~nobody-of-that-name/run"])
def test_impossible_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunDirectoryError, match="name another"):
        check_destination(path)


def test_a_finished_one_of_several_is_known_by_its_key(tmp_path: Path) -> None:
    assert not finished_before(tmp_path, "a.json", "k", False)
    (tmp_path / "DONE").touch()
    (tmp_path / "a.json").write_text('{"key": "k"}')
    assert finished_before(tmp_path, "a.json", "k", False)
    assert not finished_before(tmp_path, "a.json", "k", True)
    for content in ('{"key": "other"}', "{}", "[]", "{"):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(RunDirectoryError, match="other settings"):
            finished_before(tmp_path, "a.json", "k", False)
