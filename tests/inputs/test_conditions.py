# SPDX-License-Identifier: MIT
"""``--input NAME=VALUE``: each form of a value, and what cannot be read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from egbas.errors import CheckpointError, ConfigError
from egbas.inputs.conditions import find_inputs


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("c=3", 3),
        ("psi=0.7", 0.7),
        ("noise_mode=const", "const"),
        ('word="3"', "3"),
        ("force_fp32=True", True),
        ("c=none", None),
        ("c = a=b", "a=b"),
    ],
)
def test_numbers_words_and_switches(text: str, value: object) -> None:
    (found,) = find_inputs([text]).values()
    assert found == value
    assert type(found) is type(value)


def test_lists_are_a_row() -> None:
    found = find_inputs(["c=[0,0,1]", "w=[[0.5, 1], [2, 3]]"])
    assert torch.equal(found["c"], torch.tensor([[0, 0, 1]]))
    assert torch.equal(found["w"], torch.tensor([[[0.5, 1.0], [2.0, 3.0]]]))


def test_files(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1, 2), "b": torch.zeros(3, dtype=torch.int64)}, tmp_path / "two.safetensors")
    np.save(tmp_path / "one.npy", np.ones((1, 2)))
    found = find_inputs([f"x=@{tmp_path / 'two.safetensors'}:b", f"y=@{tmp_path / 'one.npy'}"])
    assert found["x"].dtype == torch.int64
    assert torch.equal(found["y"], torch.ones(1, 2))
    with pytest.raises(CheckpointError, match=r"holds \['a', 'b'\]; name one of them"):
        find_inputs([f"x=@{tmp_path / 'two.safetensors'}"])
    with pytest.raises(CheckpointError, match="has no tensor 'c'; it holds"):
        find_inputs([f"x=@{tmp_path / 'two.safetensors'}:c"])
    with pytest.raises(CheckpointError, match="--input x"):
        find_inputs(["x=@missing.npy"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["c"], "expected NAME=VALUE"),
        (["1c=2"], "expected NAME=VALUE"),
        (["c=1", "c=2"], "--input c was given twice"),
        (["c="], "expected a number, a word"),
        (["c=[1,"], "expected a number, a word"),
        (['c=["a"]'], "expected a list of numbers"),
        (["c=[[1],[2,3]]"], "lists of one length"),
        (['c={"a":1}'], "expected a number, a word"),
        (["c=[99999999999999999999999]"], "expected a list of numbers"),
    ],
)
def test_what_cannot_be_read(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_inputs(given)


def test_nothing_is_given() -> None:
    assert find_inputs(None) == {}
