# SPDX-License-Identifier: MIT
"""The table of how far seeds agree says what the rows say."""

import copy
import json
from pathlib import Path
from typing import Any

from benchmarks import stability

DOCS = Path(__file__).parents[2] / "docs"
ROWS = json.loads(stability.ROWS.read_text())["rows"]


def test_the_docs_hold_the_table_of_the_rows() -> None:
    assert stability.table(ROWS) in (DOCS / "certainty.md").read_text()


def converged() -> dict[str, Any]:
    """A row whose chains all converged."""
    row = copy.deepcopy(ROWS[0])
    for each in row["rows"]:
        each["status"] = "CONVERGED"
    return row


def test_chains_that_did_not_converge_are_marked() -> None:
    row = converged()
    assert " ! |" not in stability.table([row])
    row["rows"][1]["status"] = "NOT_CONVERGED"
    assert " ! |" in stability.table([row])


def test_means_of_five_agree_better_than_maps() -> None:
    row = converged()
    row["agreement"] |= {"map_correlation": 0.8, "map_ceiling": 0.9}
    assert "| 0.80 | 0.90 | 0.95 |" in stability.table([row])  # 5 * 0.8 / (1 + 4 * 0.8) = 0.952
