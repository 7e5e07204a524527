# SPDX-License-Identifier: MIT
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from egbas.errors import ConfigError, RunDirectoryError
from egbas.storage.contents import read_contents, reading, refuse


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"layer": {}}))
    (tmp_path / "metrics.json").write_text(json.dumps({"certificate": {}, "region": {}}))
    save_file({"units": torch.arange(2)}, tmp_path / "boundary.safetensors")
    save_file({"latents": torch.zeros(1, 2), "walk/latents": torch.ones(1, 2)}, tmp_path / "samples.safetensors")
    save_file({"latents": torch.ones(3, 2)}, tmp_path / "region.safetensors")
    return tmp_path


def test_each_file_is_read(place: Path) -> None:
    contents = read_contents(place)
    assert contents.config == {"layer": {}}
    assert (set(contents.boundary), set(contents.exact)) == ({"units"}, {"latents"})
    assert contents.has_layer


def test_a_run_without_a_word_on_samplers_has_a_tree(place: Path) -> None:
    contents = read_contents(place)
    assert contents.samplers == {"tree": {"kind": "tree", "certificate": {}}}
    assert contents.has_tree
    assert contents.drawn("tree") == (place / "samples.safetensors", "", contents.samples)


def test_each_sampler_has_its_place(place: Path) -> None:
    kinds = {"walk": {"kind": "samples"}, "prior": {"kind": "chains"}}
    (place / "metrics.json").write_text(json.dumps({"samplers": kinds, "region": {}}))
    contents = read_contents(place)
    assert not contents.has_tree
    assert contents.drawn("walk") == (place / "samples.safetensors", "walk/", contents.samples)
    assert contents.drawn("prior") == (place / "region.safetensors", "", contents.exact)


def test_files_that_a_run_need_not_have(place: Path) -> None:
    (place / "config.json").write_text(json.dumps({"layer": None, "region": {"kind": "Ball"}}))
    (place / "metrics.json").write_text("{}")
    for name in ("boundary", "region"):
        (place / f"{name}.safetensors").unlink()
    contents = read_contents(place)
    assert (contents.boundary, contents.exact, contents.has_layer) == ({}, {}, False)


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "boundary.safetensors", "samples.safetensors"])
@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-9]),
        lambda file: file.write_bytes(b"\xff\xfe"),
        lambda file: file.write_text("[]"),
        lambda file: file.write_text("[" * 100_000),
        lambda file: file.write_text('{"seed": NaN}'),
        lambda file: file.write_text('{"seed": "\\ud800"}'),
        lambda file: file.write_text('{"seed": ' + 5000 * "9" + "}"),
    ],
)
def test_what_is_no_file_of_its_kind_is_told(place: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(place / name)
    with pytest.raises(RunDirectoryError) as told:
        read_contents(place)
    assert str(told.value).startswith(f"{place / name} is damaged")
    assert "explore again" in str(told.value)


@pytest.mark.parametrize("error", [KeyError("a"), TypeError("b"), ConfigError("c"), OverflowError("d"), OSError("e")])
def test_errors_tell_their_file(error: Exception) -> None:
    with pytest.raises(RunDirectoryError, match=r"config\.json is damaged or comes from another version \(.*[a-e]"):
        with reading(Path("config.json")):
            raise error


def test_errors_of_one_class_pass() -> None:
    with pytest.raises(ConfigError, match=r"^pass it$"):
        with reading(Path("config.json"), passing=ConfigError):
            raise ConfigError("pass it")
    with pytest.raises(RunDirectoryError, match=r"^as it is$"):
        with reading(Path("config.json")):
            raise RunDirectoryError("as it is")


def test_a_refusal_says_what_came_and_what_was_expected() -> None:
    with pytest.raises(
        RunDirectoryError, match=r"^m\.json is damaged: seed is 'x'; expected an integer: explore again"
    ):
        refuse(Path("m.json"), "seed", "'x'", "an integer")
