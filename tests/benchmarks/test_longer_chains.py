# SPDX-License-Identifier: MIT
"""Longer chains: the table says what the rows say."""

import json
from pathlib import Path

from benchmarks import longer_chains

DOCS = Path(__file__).parents[2] / "docs"
ROWS = json.loads(longer_chains.ROWS.read_text())["rows"]


def test_the_docs_hold_the_table_of_the_rows() -> None:
    assert longer_chains.table(ROWS) in (DOCS / "evaluation.md").read_text()


def test_long_runs_went_on_where_short_ones_stopped() -> None:
    for row in ROWS:
        short, long = row["short"], row["long"]
        # The last moves of the chains may go a little beyond the bound.
        assert short["evaluations"] <= 1.01 * longer_chains.SHORT and long["evaluations"] <= 1.01 * longer_chains.LONG
        if short["status"] == "CONVERGED":
            assert long["deviation"] == short["deviation"]
        else:
            assert long["evaluations"] > short["evaluations"]


def test_a_line_by_hand() -> None:
    def run(status: str, r_hat: float, deviation: float, evaluations: int) -> longer_chains.Row:
        return {"status": status, "r_hat": r_hat, "deviation": deviation, "evaluations": evaluations}

    rows = [
        {"model": "m", "layer": 2, "seed": seed, "short": run("NOT_CONVERGED", 1.2, 0.1, 200), "long": long}
        for seed, long in enumerate([run("CONVERGED", 1.04, 0.2, 900), run("NOT_CONVERGED", 1.1, 0.1, 2000)])
    ]
    line = longer_chains.table(rows).splitlines()[-1]
    assert line == "| `m` | 2 | 2 | 1.20 to 1.20 | 1.04 to 1.10 | 0 | 1 | 2,000 | 1.41 |"  # sqrt(2 * 1)
