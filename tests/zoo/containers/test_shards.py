# SPDX-License-Identifier: MIT
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from egbas.errors import CheckpointError
from egbas.zoo.containers.shards import files_of, index_of, read_index
from egbas.zoo.formats import read_checkpoint
from egbas.zoo.models import load_model
from tests.zoo.formats.reference import Draw, agree, load
from tests.zoo.formats.test_gandissect import layout, original


def written(folder: Path, kind: str = "safetensors", **changes: Any) -> Path:
    """A network in two files with their index."""
    state = layout()
    names = list(state)
    stem = "model" if kind == "safetensors" else "pytorch_model"
    files = {f"{stem}-0000{n}-of-00002.{kind}": part for n, part in ((1, names[:5]), (2, names[5:]))}
    for file, part in files.items():
        tensors = {name: state[name] for name in part}
        if kind == "safetensors":
            save_file(tensors, folder / file)
        else:
            torch.save(tensors, folder / file)
    table = {name: file for file, part in files.items() for name in part} | changes
    index = folder / f"{stem}.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": table}))
    return index


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_a_network_in_several_files_is_read_by_its_index_and_by_its_folder(tmp_path: Path, kind: str) -> None:
    index = written(tmp_path, kind)
    for path in (index, tmp_path):
        agree(load(path, "gandissect")[1], Draw(1)(2, 7), lambda z: original(layout(), z))
    assert load_model(str(tmp_path)).sha256 == load_model(index).sha256


def test_the_checksum_is_of_all_files(tmp_path: Path) -> None:
    index = written(tmp_path)
    before = load_model(index).sha256
    shard = files_of(index)[-1]
    tensors = {name: value for name, value in layout().items() if name in list(layout())[5:]}
    save_file({name: value + 1 for name, value in tensors.items()}, shard)
    assert load_model(index).sha256 != before


def test_safetensors_are_taken_where_both_kinds_lie_there(tmp_path: Path) -> None:
    written(tmp_path, "bin")
    assert index_of(tmp_path) == tmp_path / "pytorch_model.bin.index.json"
    index = written(tmp_path)
    assert index_of(tmp_path) == index
    (tmp_path / "model.fp16.safetensors.index.json").write_text(index.read_text())
    with pytest.raises(CheckpointError, match=r"several networks; name the index of one: model\.fp16"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("file", ["../x.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", 7])
def test_files_elsewhere_are_refused(tmp_path: Path, file: object) -> None:
    with pytest.raises(CheckpointError, match=r"index\.json: its index names the file .*in the same folder"):
        read_checkpoint(written(tmp_path, **{"layer1.conv.weight": file}))


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    index = written(tmp_path, **{"layer1.conv.weight": "other.safetensors"})
    with pytest.raises(CheckpointError, match=r"names other\.safetensors, which is not there"):
        read_checkpoint(index)
    index = written(tmp_path, more="model-00001-of-00002.safetensors")
    with pytest.raises(CheckpointError, match=r"holds the tensor 'more'; it does not"):
        read_checkpoint(index)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": []}', "[" * 100_000])
def test_damaged_indices_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="index"):
        read_checkpoint(tmp_path)


def test_an_index_of_an_index_is_refused(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": index.name}}))
    with pytest.raises(CheckpointError, match="names another index"):
        read_index(index)


def test_other_files_and_folders_are_none(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert index_of(tmp_path) is None
    assert index_of(tmp_path / "config.json") is None
    assert files_of(tmp_path / "x.pth") == [tmp_path / "x.pth"]
