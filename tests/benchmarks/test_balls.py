# SPDX-License-Identifier: MIT
"""The table of regions beside balls says what the rows say."""

import json
from pathlib import Path

from benchmarks import balls

DOCS = Path(__file__).parents[2] / "docs"
ROWS = json.loads(balls.ROWS.read_text())["rows"]


def test_the_docs_hold_the_table_of_the_rows() -> None:
    assert balls.table(ROWS) in (DOCS / "evaluation.md").read_text()


def test_a_region_that_did_not_converge_is_marked() -> None:
    for status, mark in (("CONVERGED", False), ("NOT_CONVERGED", True)):
        assert (" ! |" in balls.table([ROWS[0] | {"status": status}])) is mark
