# SPDX-License-Identifier: MIT
"""The table of channels beside units says what the rows say."""

import json
from pathlib import Path

from benchmarks import channels

DOCS = Path(__file__).parents[2] / "docs"
ROWS = json.loads(channels.ROWS.read_text())["rows"]


def test_the_docs_hold_the_table_of_the_rows() -> None:
    assert channels.table(ROWS) in (DOCS / "certainty.md").read_text()


def test_columns_without_a_value_are_left_out() -> None:
    """Regions are not sampled for all rows."""
    row = next(row for row in ROWS if row["grouped"] == "unit")
    told = {"agreement": {"shared": 0.9, "shared_prior": 0.5, "map_correlation": 0.8, "mean": 0.7}}
    with_regions = row | {"regions": {**told, "rows": [{"status": "NOT_CONVERGED"}]}}
    assert "shared (prior)" not in channels.table([row])
    assert "| 0.900 (0.50) | 0.80 ! | 0.70 |" in channels.table([with_regions])
