# SPDX-License-Identifier: MIT
import dataclasses
import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from egbas.errors import RunDirectoryError
from egbas.storage import folder_for, load_run, save, save_files, save_result, save_run, write_file
from egbas.storage.destination import FILES
from tests.runs import colour_run, exact_run, plane_run


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def fail_on(name: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writing of one file fail after half of it."""
    write = save._write

    def failing(path: Path, content: bytes) -> None:
        if path.name == name:
            path.write_bytes(content[: len(content) // 2])
            raise error
        write(path, content)

    monkeypatch.setattr(save, "_write", failing)


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing where only the files count; ``saved`` is made before this and has the real ones."""
    monkeypatch.setattr(save, "render", lambda *_: "<!DOCTYPE html>")
    monkeypatch.setattr(save, "_picture", lambda *_: b"png")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(plane_run(), tmp_path_factory.mktemp("runs") / "deep" / "seven")


def test_the_files_of_the_design(saved: Path) -> None:
    assert names(saved) == set(FILES) - {
        "region.safetensors",
        "inputs.safetensors",
    }  # which exact samples and inputs have
    assert names(saved.parent) == {"seven"}  # no hidden folder is left


def test_boundary(saved: Path) -> None:
    tensors, run = load_file(saved / "boundary.safetensors"), plane_run()
    assert torch.equal(tensors["theta"], run.theta)
    assert torch.equal(tensors["units"], run.beropt.units)
    assert tensors["units"].dtype == torch.int64
    assert tensors["signs"].dtype == torch.int8
    assert set(tensors["signs"].tolist()) <= {-1, 1}


def test_samples(saved: Path) -> None:
    tensors, run = load_file(saved / "samples.safetensors"), plane_run()
    assert set(tensors) == {"query", "outputs", "latents", "parents", "rejected", "rejected_reason"}
    assert torch.equal(tensors["latents"][0], tensors["query"])
    assert torch.equal(tensors["latents"], run.latents)
    assert tensors["parents"][0] == -1
    assert tensors["rejected_reason"].dtype == torch.int8


def test_json_and_picture(saved: Path) -> None:
    run = plane_run()
    assert json.loads((saved / "metrics.json").read_text())["samples"] == len(run.latents)
    assert json.loads((saved / "config.json").read_text())["model"]["name"] == run.model_name
    with Image.open(saved / "samples.png") as picture:
        assert picture.format == "PNG"
    assert (saved / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_colour_images_too(tmp_path: Path) -> None:
    assert names(save_run(colour_run(), tmp_path / "run")) == set(FILES) - {"region.safetensors", "inputs.safetensors"}
    assert names(save_run(exact_run(), tmp_path / "exact")) == set(FILES) - {"inputs.safetensors"}


def test_method_of_the_exploration_saves_too(tmp_path: Path) -> None:
    assert plane_run().save(tmp_path / "run") == (tmp_path / "run").resolve()


def test_overwrite_replaces_the_whole_run(tmp_path: Path) -> None:
    place = save_run(colour_run(), tmp_path / "run")
    with pytest.raises(RunDirectoryError, match="overwrite"):
        save_run(plane_run(), place)
    save_run(plane_run(), place, overwrite=True)
    assert load_file(place / "samples.safetensors")["latents"].shape[1] == 2
    assert names(tmp_path) == {"run"}


@pytest.mark.parametrize("name", ["config.json", "samples.safetensors", "report.html", "DONE"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "no permission"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    ],
)
def test_a_failed_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: OSError, message: str
) -> None:
    fail_on(name, error, monkeypatch)
    with pytest.raises(RunDirectoryError, match=message):
        save_run(plane_run(), tmp_path / "new" / "parents" / "run")
    assert names(tmp_path) == set()


def test_ctrl_c_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_on("metrics.json", KeyboardInterrupt(), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        save_run(plane_run(), tmp_path / "run")
    assert names(tmp_path) == set()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_the_former_run_outlives_a_failed_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    place = save_run(colour_run(), tmp_path / "run")
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    fail_on("DONE", error, monkeypatch)
    with pytest.raises((RunDirectoryError, KeyboardInterrupt)):
        save_run(plane_run(), place, overwrite=True)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert names(tmp_path) == {"run"}


@pytest.mark.parametrize("failing", [1, 2])
def test_the_former_run_outlives_a_failed_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    place = save_run(colour_run(), tmp_path / "run")
    rename, calls = save.os.rename, []

    def rename_once_failing(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == failing:
            raise OSError(errno.EBUSY, "Device or resource busy")
        rename(*arguments)

    monkeypatch.setattr(save.os, "rename", rename_once_failing)
    with pytest.raises(RunDirectoryError, match="busy"):
        save_run(plane_run(), place, overwrite=True)
    assert names(tmp_path) == {"run"}
    assert load_file(place / "samples.safetensors")["latents"].shape[1] == 5


def test_a_really_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    write = save._write
    monkeypatch.setattr(save, "_write", lambda path, content: write(Path("/dev/full"), content))
    with pytest.raises(RunDirectoryError, match="disk is full"):
        save_run(plane_run(), tmp_path / "run")
    assert names(tmp_path) == set()


def test_write_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "new" / "rows.json"
    write_file(place, b"first")
    assert place.read_text() == "first"

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(save, "_write", full)
    with pytest.raises(RunDirectoryError, match="disk is full"):
        write_file(place, b"second")
    assert [entry.name for entry in place.parent.iterdir()] == ["rows.json"]
    assert place.read_text() == "first"


def test_other_files_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {"a.csv": b"1,2\n", "b.json": b"{}"}
    place = save_files(contents, tmp_path / "deep" / "out")
    assert names(place) == {"a.csv", "b.json", "DONE"}
    assert (place / "a.csv").read_bytes() == b"1,2\n"
    with pytest.raises(RunDirectoryError, match="--overwrite"):
        save_files(contents, place)
    save_files({**contents, "a.csv": b"3"}, place, overwrite=True)
    assert (place / "a.csv").read_bytes() == b"3"
    (place / "mine.txt").touch()
    with pytest.raises(RunDirectoryError, match="left alone"):
        save_files(contents, place, overwrite=True)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(save, "_write", full)
    with pytest.raises(RunDirectoryError, match="disk is full"):
        save_files(contents, tmp_path / "other" / "out")
    assert not (tmp_path / "other").exists()


def test_a_folder_that_stays_empty_is_taken_back(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), folder_for(tmp_path / "deep" / "folder") as place:
        assert place.is_dir()
        raise KeyboardInterrupt
    assert not (tmp_path / "deep").exists()
    with folder_for(tmp_path / "deep" / "folder") as place:
        (place / "checkpoint").touch()
    assert (tmp_path / "deep" / "folder" / "checkpoint").exists()
    (tmp_path / "there").mkdir()
    with folder_for(tmp_path / "there"):
        pass
    assert (tmp_path / "there").is_dir()  # it was there before


def test_two_processes_may_write_the_same_result(tmp_path: Path) -> None:
    contents = {"a.json": b'{"key": "k"}'}
    for _ in range(2):  # the second finds what the first has just written
        save_result(contents, tmp_path / "out", file="a.json", key="k", overwrite=False)
    with pytest.raises(RunDirectoryError, match="other settings"):
        save_result({"a.json": b'{"key": "l"}'}, tmp_path / "out", file="a.json", key="l", overwrite=False)
    assert (tmp_path / "out" / "a.json").read_bytes() == contents["a.json"]


def test_a_name_that_is_no_text_is_written_and_read_back(tmp_path: Path) -> None:
    run = dataclasses.replace(plane_run(), model_name="caf\udce9 \U0001f600")  # the bytes of a file's name in Latin-1
    found = load_run(run.save(tmp_path / "run"), run.network.generator)
    assert found.model_name == "caf? \U0001f600"
    assert save.text_bytes("caf\udce9") == b"caf?"  # of pages, which are left out here
