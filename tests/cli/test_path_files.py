# SPDX-License-Identifier: MIT
import json
from pathlib import Path

import pytest

from egbas.cli.path_files import TABLE, command, folder_of, read_missing
from egbas.network import Layer

LAYER = Layer(number=2, path="relu2", kind="ReLU", shape=(3,), units=3)


@pytest.mark.parametrize(
    ("row", "has_seeds", "name"),
    [(None, True, "seed-5"), (None, False, "seed-5"), (2, False, "row-2"), (2, True, "row-2-seed-5")],
)
def test_each_query_has_a_folder(row: int | None, has_seeds: bool, name: str) -> None:
    assert folder_of(row, 5, has_seeds=has_seeds) == name


def test_what_was_finished_before_is_read(tmp_path: Path) -> None:
    for name in ("seed-1", "seed-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / TABLE).write_text(json.dumps({"written": name}))
    told = {"seed-1": None, "seed-2": {"made": "now"}}
    assert read_missing(told, [tmp_path / "seed-1", tmp_path / "seed-2"]) == {
        "seed-1": {"written": "seed-1"},
        "seed-2": {"made": "now"},
    }


def test_the_command_has_what_was_given() -> None:
    others = {"--focus": "0,0,2,2", "--mass": True, "--input": ["a=1", "b=2"], "--key": None}
    assert command("m", [LAYER], "1-3", 4, 20, others, ["m:judge"]) == (
        "egbas path --model m --layer 2 --level 1-3 --seed 4 --samples 20 --focus 0,0,2,2 --mass --input a=1 "
        "--input b=2 --judge m:judge"
    )
