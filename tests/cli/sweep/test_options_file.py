# SPDX-License-Identifier: MIT
from pathlib import Path
from typing import Any

import pytest

from egbas.cli.sweep import sweep
from egbas.cli.sweep.options_file import read_file
from egbas.errors import ConfigError


def read(folder: Path, content: str) -> dict[str, Any]:
    (folder / "a.toml").write_text(content)
    return read_file(folder / "a.toml", sweep)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('seed = "0-9"\nmax-steps = 5', {"seed": "0-9", "max_steps": 5}),
        ("layer = [1, 'relu2']\nlevel = 3", {"layer": "1,relu2", "level": "3"}),
        ('model = ["a", "b"]\njudge = "m:f"', {"model": ["a", "b"], "judge": ["m:f"]}),
        ('input = ["c=3", "psi=0.7"]', {"input": ["c=3", "psi=0.7"]}),
        ("plan = true", {"plan_only": True}),
        ("sparsity = 1\noutput = 0\nmass = false", {"sparsity": 1, "output": "0", "mass": False}),
    ],
)
def test_options_of_a_file(tmp_path: Path, content: str, found: dict[str, Any]) -> None:
    assert read(tmp_path, content) == found


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("sed = 1", "there is no option 'sed'"),
        ("json = true", "there is no option 'json'"),
        ("seed =", "cannot be read"),
        ("[seed]\na = 1", "seed = {'a': 1}; expected whole numbers or texts"),
        ("seed = 1.5", "seed = 1.5; expected whole numbers"),
        ("layer = [true]", "layer = [True]; expected whole numbers or texts"),
        ("level = []", "level = []; expected whole numbers"),
        ("model = 3", "model = 3; expected a text, or a list of texts"),
        ("max_steps = [1, 2]", "max_steps = [1, 2]; expected a single value"),
        ("samples = 'many'", "samples = 'many'; expected a whole number"),
        ("samples = 1.5", "samples = 1.5; expected a whole number"),
        ("samples = true", "samples = True; expected a whole number"),
        ("samples = -1", "samples = -1; expected a whole number, 0 to"),
        ("workers = 0", "workers = 0; expected a whole number, 1 to"),
        ("delta = '0.4'", "delta = '0.4'; expected a number"),
        ("mass = 1", "mass = 1; expected true or false"),
        ("out = false", "out = False; expected a text"),
        ("out = 2026-01-01", "expected a text"),
        ("max-steps = 1\nmax_steps = 2", "is given twice"),
        (f"layer = {'[' * 3000}{']' * 3000}", "cannot be read"),
        *((f"{key} = 0x{'f' * 5000}", f"{key} has thousands of digits") for key in ("seed", "masks", "delta", "out")),
        (f"layer = [1, 0x{'f' * 5000}]", "layer has thousands of digits"),
        (f"layer{'.a' * 5000} = 1", "layer has thousands of digits or levels"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_and_the_key(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / "a.toml")) and told in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        read_file(tmp_path / "none.toml", sweep)
