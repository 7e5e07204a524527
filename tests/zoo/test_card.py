# SPDX-License-Identifier: MIT
import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from egbas.errors import CheckpointError
from egbas.zoo.card import ModelCard, load_card, load_weights, save_weights, sha256

CARD = ModelCard(
    name="toy",
    summary="a toy",
    architecture={"family": "toy"},
    latent={},
    data={},
    settings={"seed": 0},
    metrics={"history": [[1, 2.5]]},
)
WEIGHTS = {"weight": torch.arange(6.0).view(2, 3).T, "steps": torch.tensor(7)}


def test_card_and_weights_come_back(tmp_path: Path) -> None:
    saved = save_weights(tmp_path / "new" / "folder", CARD, WEIGHTS)
    card = load_card(tmp_path / "new" / "folder", "toy")
    assert card == saved == replace(CARD, sha256=saved.sha256)
    weights = load_weights(tmp_path / "new" / "folder", card)
    assert weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {"toy.json", "toy.safetensors"}


def test_checksum_is_that_of_the_file(tmp_path: Path) -> None:
    card = save_weights(tmp_path, CARD, WEIGHTS)
    content = (tmp_path / "toy.safetensors").read_bytes()
    assert card.sha256 == sha256(tmp_path / "toy.safetensors") == hashlib.sha256(content).hexdigest()


def test_same_weights_give_the_same_file(tmp_path: Path) -> None:
    assert save_weights(tmp_path, CARD, WEIGHTS) == save_weights(tmp_path, CARD, WEIGHTS)


def test_flipped_bit_is_noticed(tmp_path: Path) -> None:
    card = save_weights(tmp_path, CARD, WEIGHTS)
    path = tmp_path / "toy.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"toy.safetensors has sha256 .*its card says .*install egbas again"):
        load_weights(tmp_path, card)


def test_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "toy.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=r"toy.safetensors cannot be read"):
        load_weights(tmp_path, replace(CARD, sha256=sha256(path)))


def test_missing_weights_are_told(tmp_path: Path) -> None:
    card = save_weights(tmp_path, CARD, WEIGHTS)
    (tmp_path / "toy.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"weights .*toy.safetensors cannot be read"):
        load_weights(tmp_path, card)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        '{"name": ',
        '{"name": "toy"}',
        json.dumps(asdict(CARD) | {"colour": "red"}),
    ],
    ids=["missing", "empty", "a list", "cut short", "fields missing", "unknown field"],
)
def test_damaged_card_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "toy.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"model card .*toy.json cannot be read .*install egbas again"):
        load_card(tmp_path, "toy")
