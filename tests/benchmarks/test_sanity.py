# SPDX-License-Identifier: MIT
"""The tables of the sanity suite say what the rows say."""

import copy
import json
from pathlib import Path

from benchmarks import sanity

DOCS = Path(__file__).parents[2] / "docs"
ROWS = json.loads(sanity.ROWS.read_text())["rows"]


def test_the_docs_hold_the_tables_of_the_rows() -> None:
    text = (DOCS / "sanity.md").read_text()
    assert all(table in text for table in (*sanity.tables(ROWS), sanity.separated(ROWS)))


def test_a_copy_that_is_like_the_trained_network_is_not_told_apart() -> None:
    row = copy.deepcopy(next(row for row in ROWS if all("units" in one for one in copies_of(row))))
    before = sanity.separated([row])
    copies_of(row)[0]["separated_by"] = []
    assert "**nothing**" in sanity.weights_table([row])
    assert before.startswith("3 of 3 copies") and sanity.separated([row]).startswith("2 of 3 copies")


def test_a_copy_without_a_region_is_not_counted() -> None:
    row = copy.deepcopy(next(row for row in ROWS if all("units" in one for one in copies_of(row))))
    copies_of(row)[0] = {"weights": "head", "reason": "empty", "separated_by": []}
    assert "no region" in sanity.weights_table([row])
    assert sanity.separated([row]).startswith("2 of 2 copies") and sanity.separated([row]).endswith(
        "1 copies have no region."
    )


def test_a_control_that_the_rule_would_tell_apart_says_so() -> None:
    row = copy.deepcopy(ROWS[0])
    units = row["randomised_weights"]["trained"]["units"]
    row["control"] |= {"units": units, "map": 0.9}
    assert "| 0.90 |  |" in sanity.weights_table([row])
    row["control"] |= {"units": 2 * units, "map": 0.4}
    assert "| 0.40 | units, map |" in sanity.weights_table([row])


def test_medians_with_nothing_in_common_are_marked() -> None:
    row = copy.deepcopy(ROWS[0])
    for key in ("change", "rate", "removed"):
        row["necessity"]["kept"][key], row["necessity"]["dropped"][key] = [0.4, 0.3, 0.5], [0.3, 0.2, 0.35]
    assert "*" not in sanity.necessity_table([row])
    row["necessity"]["dropped"]["rate"] = [0.1, 0.0, 0.2]
    assert "0.1 [0, 0.2]* |" in sanity.necessity_table([row])


def copies_of(row: dict) -> list[dict]:
    return row["randomised_weights"]["copies"]
