# SPDX-License-Identifier: MIT
"""The docs hold the table of the benchmark of inversion, and the promise that it measures."""

import json
from pathlib import Path

import pytest

from benchmarks import inversion

DOCS = Path(__file__).parents[2] / "docs"
ROWS = json.loads(inversion.ROWS.read_text())["rows"]


def test_the_docs_hold_the_table_of_the_rows() -> None:
    assert inversion.table(ROWS) in (DOCS / "photographs.md").read_text()


@pytest.mark.parametrize("model", inversion.MODELS)
def test_eighteen_of_twenty_own_images_are_found(model: str) -> None:
    some = [row for row in ROWS if (row["model"], row["method"]) == (model, "egbas.invert")]
    assert [row["seed"] for row in some] == list(inversion.SEEDS)
    assert sum(row["error"] < inversion.NEAR for row in some) >= 18


def test_what_is_near_is_counted() -> None:
    row = dict(ROWS[0], error=0.06)
    assert "| 1 of 2 |" in inversion.table([row, dict(row, error=0.04)])
