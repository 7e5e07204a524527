# SPDX-License-Identifier: MIT
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from egbas.errors import CheckpointError, ConfigError
from egbas.zoo.blueprint import Blueprint
from egbas.zoo.containers.content import open_content
from egbas.zoo.containers.networks import DISCRIMINATORS, GENERATORS
from egbas.zoo.formats import build_networks, gandissect, read_checkpoint
from tests.zoo.formats.reference import Draw, agree, load
from tests.zoo.formats.test_gandissect import layout, original


@pytest.mark.parametrize("name", [name for name in GENERATORS if name])
def test_networks_are_found_by_their_names(tmp_path: Path, name: str) -> None:
    state = layout()
    torch.save({name: state, "epoch": 3}, tmp_path / "g.pth")
    parts, generator, _ = load(tmp_path / "g.pth", "gandissect")
    assert parts.facts["weights_of"] == name
    agree(generator, Draw(1)(2, 7), lambda z: original(state, z))


@pytest.mark.parametrize("name", [name for name in GENERATORS if name not in ("", "model")])
def test_networks_are_found_by_their_names_with_state_dict(tmp_path: Path, name: str) -> None:
    state = layout()
    torch.save({f"{name}_state_dict": state, "optimizerG_state_dict": {"state": {}}, "epoch": 3}, tmp_path / "g.pth")
    parts, generator, _ = load(tmp_path / "g.pth", "gandissect")
    assert parts.facts["weights_of"] == name
    agree(generator, Draw(1)(2, 7), lambda z: original(state, z))


def test_a_training_checkpoint_of_both_networks_is_taken_apart(tmp_path: Path) -> None:
    content = {"netG_state_dict": layout(), "netD_state_dict": {"a": torch.zeros(1)}, "epoch": 3}
    torch.save(content, tmp_path / "g.pth")
    with open_content(tmp_path / "g.pth") as opened:
        assert opened.generator_name == "netG"
        assert opened.generator.keys() == layout().keys()
        assert opened.discriminator is not None and list(opened.discriminator) == ["a"]


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators_are_found_by_their_names_with_state_dict(tmp_path: Path, name: str) -> None:
    torch.save({"netG": layout(), f"{name}_state_dict": {"a": torch.zeros(1)}}, tmp_path / "g.pth")
    with open_content(tmp_path / "g.pth") as opened:
        assert opened.discriminator is not None and list(opened.discriminator) == ["a"]


def test_a_name_comes_before_the_name_with_state_dict(tmp_path: Path) -> None:
    torch.save({"netG": layout(), "netG_state_dict": {"a": torch.zeros(1)}}, tmp_path / "g.pth")
    with open_content(tmp_path / "g.pth") as opened:
        assert opened.generator.keys() == layout().keys()


def test_a_setting_of_that_name_does_not_hide_the_tensors(tmp_path: Path) -> None:
    torch.save({"generator": "dcgan", "generator_state_dict": layout()}, tmp_path / "g.pth")
    with open_content(tmp_path / "g.pth") as opened:
        assert opened.generator.keys() == layout().keys()


def test_moving_averages_are_preferred(tmp_path: Path) -> None:
    for average in ("avgG", "G_ema", "g_ema", "generator_smooth", "shadow_generator", "ema"):
        torch.save({"generator": layout(), "netG": layout(), "G": layout(), average: layout()}, tmp_path / "g.pth")
        with open_content(tmp_path / "g.pth") as content:
            assert content.generator_name == average


def test_a_flat_file_of_two_networks_is_taken_apart(tmp_path: Path) -> None:
    state = {f"generator.{name}": value for name, value in layout().items()}
    torch.save({"state_dict": {"x": 1}} | state | {"discriminator.a": torch.zeros(1)}, tmp_path / "g.pth")
    with open_content(tmp_path / "g.pth") as content:
        assert content.generator.keys() == layout().keys()
        assert content.discriminator is not None
        assert list(content.discriminator) == ["a"]


def test_safetensors_of_any_layout_are_read(tmp_path: Path) -> None:
    state = layout()
    save_file(state, tmp_path / "g.safetensors")
    agree(load(tmp_path / "g.safetensors", "gandissect")[1], Draw(1)(2, 7), lambda z: original(state, z))


def test_settings_are_found_where_there_are_some(tmp_path: Path) -> None:
    torch.save({"conf": {"a": 1}, "x": torch.zeros(1), "b": {"conf": {"c": 2}}}, tmp_path / "g.pth")
    with open_content(tmp_path / "g.pth") as content:
        assert content.settings("conf") == {"a": 1}
        assert content.settings("b", "conf") == {"c": 2}
        assert content.settings("x") == content.settings("b", "nothing") == content.settings("no", "where") == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    state = layout()
    state["layer3.conv.weight"][1, 2, 0, 0] = value
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"'layer3\.conv\.weight' holds 1 values that are NaN or infinite"):
        read_checkpoint(tmp_path / "g.pth")


def test_integers_are_no_weights(tmp_path: Path) -> None:
    torch.save(layout() | {"layer2.wscale.b": torch.arange(6)}, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"int64; expected floating-point"):
        read_checkpoint(tmp_path / "g.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"epoch,loss\n1,0.5\n", "is text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "a PNG image"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "a JPEG image"),
        (b"\x1f\x8b\x08" + bytes(20), "a gzip archive"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"\x93NUMPY\x01\x00" + bytes(20), "a numpy array"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "HDF5"),
        (bytes(range(1, 9)) * 4, "of an unknown kind"),
        (b"PK\x03\x04" + bytes(30), "damaged or truncated zip"),
        (b"\x80\x02}.", "no named tensors"),
        (pickle.dumps([1, 2]), r"no named tensors \(a list\)"),
        (pickle.dumps({"epoch": 1}), r"no named tensors \(a dict with epoch\)"),
        (struct.pack("<Q", 10) + b'{"a": 1}  ', "damaged or truncated safetensors"),
    ],
)
def test_files_that_are_no_checkpoints_are_told_what_they_are(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"x\.pth: .*{message}"):
        read_checkpoint(tmp_path / "x.pth")


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file"):
        read_checkpoint(tmp_path / "missing.pth")
    with pytest.raises(CheckpointError, match=r"is a directory; expected a checkpoint file$"):
        read_checkpoint(tmp_path)
    (tmp_path / "a.pth").touch()
    with pytest.raises(CheckpointError, match=r"is a directory.*such as .*a\.pth"):
        read_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / ("x" * 300))
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(CheckpointError, match="no ordinary file"):
        read_checkpoint(tmp_path / "pipe.pth")


@pytest.mark.parametrize("error", [ValueError("x" * 999), KeyError("a"), ConfigError("mine"), RuntimeError()])
def test_damage_that_nobody_foresaw_is_told_as_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_: object) -> Any:
        raise error

    torch.save(layout(), tmp_path / "g.pth")
    monkeypatch.setattr(gandissect, "read", fail)
    with pytest.raises(CheckpointError, match=rf"g\.pth: it is damaged, or .*{type(error).__name__}") as refused:
        read_checkpoint(tmp_path / "g.pth")
    assert refused.value.__cause__ is error
    assert len(str(refused.value)) < 500


def test_networks_that_cannot_be_built_are_told_with_their_file(tmp_path: Path) -> None:
    torch.save(layout(), tmp_path / "g.pth")
    _, parts = read_checkpoint(tmp_path / "g.pth")
    assert build_networks(tmp_path / "g.pth", parts)[1] is None
    del parts.generator.weights["conv2.bias"]
    with pytest.raises(CheckpointError, match=r"g\.pth: .*conv2\.bias"):
        build_networks(tmp_path / "g.pth", parts)


def test_defects_of_building_networks_are_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> Any:
        raise ValueError("a defect")

    torch.save(layout(), tmp_path / "g.pth")
    _, parts = read_checkpoint(tmp_path / "g.pth")
    monkeypatch.setattr(Blueprint, "build", fail)
    with pytest.raises(ValueError, match=r"^a defect$"):
        build_networks(tmp_path / "g.pth", parts)


def test_other_errors_pass_through_unchanged(tmp_path: Path) -> None:
    torch.save(layout(), tmp_path / "g.pth")

    def fail(error: Exception) -> Any:
        with open_content(tmp_path / "g.pth"):
            raise error

    with pytest.raises(ConfigError, match=r"^mine$"):
        fail(ConfigError("mine"))
    with pytest.raises(ZeroDivisionError):
        fail(ZeroDivisionError())
