# SPDX-License-Identifier: MIT
"""The tables of the docs say what the rows say."""

import json
from pathlib import Path

from benchmarks import exact_tables

DOCS = Path(__file__).parents[2] / "docs"
ROWS = json.loads(exact_tables.ROWS.read_text())["rows"]


def test_the_docs_hold_the_tables_of_the_rows() -> None:
    assert exact_tables.samples_table(ROWS) in (DOCS / "exact-samples.md").read_text()
    assert exact_tables.freedom_table(ROWS) in (DOCS / "held-and-free.md").read_text()


def test_a_row_that_did_not_converge_is_marked() -> None:
    row = ROWS[0]
    for status, mark in (("CONVERGED", False), ("NOT_CONVERGED", True)):
        assert (" ! |" in exact_tables.samples_table([row | {"status": status}])) is mark


def test_one_query_has_no_interval() -> None:
    row = ROWS[0] | {"freedom": 0.5, "freedom_tree": 0.25}
    assert "| 1 | " in exact_tables.freedom_table([row])
    assert exact_tables.freedom_table([row]).endswith(
        f" | 0.50 | 0.25 | {row['image_distance'][1]:.2f} | {row['image_distance'][2]:.2f} |"
    )
