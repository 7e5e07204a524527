# SPDX-License-Identifier: MIT
"""The table of regions beside balls says what the rows say."""

import json
from pathlib import Path

from benchmarks import balls

DOCS = Path(__file__).parents[2] / "docs"
ROWS = json.loads(balls.ROWS.read_text())["rows"]


def test_the_docs_hold_the_summary_of_the_rows() -> None:
    assert balls.summary(ROWS) in (DOCS / "evaluation.md").read_text()


def test_a_region_that_did_not_converge_is_marked() -> None:
    for status, mark in (("CONVERGED", False), ("NOT_CONVERGED", True)):
        assert (" ! |" in balls.table([ROWS[0] | {"status": status}])) is mark


def test_a_summary_tells_means_and_intervals_where_queries_are_enough() -> None:
    rows = [ROWS[0] | {"seed": seed, "region": ROWS[0]["region"] | {"freedom": 0.2 + seed / 10}} for seed in range(6)]
    few, many = (balls.summary(rows[:n]).splitlines()[-1] for n in (2, 6))
    assert "| 2 |" in few and "| 0.25 |" in few and "[" not in few
    assert "| 6 |" in many and "| 0.45 |" in many and many.count("[") == 2


def test_a_row_without_a_judge_of_classes_has_an_empty_cell() -> None:
    (row,) = [one for one in ROWS if one["model"] == "faces"][:1]
    assert row["region"]["class_kept"] is None
    assert "|  |  |" in balls.table([row]) and "|  |  |" in balls.summary([row])


def test_intervals_of_five_queries_are_as_wide_as_five_queries_make_them() -> None:
    ratios = [0.77, 0.96, 0.73, 0.93, 0.86]
    # Logarithms: mean -0.1681, deviation 0.1181; Student's t of four degrees of freedom is 2.776.
    assert balls.told_ratio(ratios, [1.0] * 5) == "0.85 [0.73, 0.98]"
    assert balls.told_ratio(ratios[:4], [1.0] * 4) == "0.84"
