# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch

from egbas.errors import CheckpointError
from egbas.training.checkpoint import load_state, save_state


def test_state_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"weights": torch.arange(3.0), "step": 5, "history": [(1, 2.0)]})
    state = load_state(path)
    assert state is not None
    assert torch.equal(state["weights"], torch.arange(3.0))
    assert (state["step"], state["history"]) == (5, [(1, 2.0)])
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state.pt") is None


def test_failed_write_leaves_the_old_state(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"step": 1})
    with pytest.raises(Exception, match="pickle"):
        save_state(path, {"step": lambda: None})
    assert load_state(path) == {"step": 1}


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_damaged_file_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state.pt cannot be read .*delete it to train from the start"):
        load_state(path)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"step": print}, path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_state(path)
