# SPDX-License-Identifier: MIT
"""The tables of the face generator say what their rows say."""

import json
from pathlib import Path

import pytest

from benchmarks import faces
from egbas.evaluation.baselines import E_GBAS, L2
from egbas.evaluation.comparison import DEVIATION
from egbas.evaluation.exact_methods import EXACT

DOCS = Path(__file__).parents[2] / "docs"
ROWS = json.loads(faces.ROWS.read_text())["rows"]


@pytest.mark.parametrize("table", [faces.paper_table, faces.fair_table, faces.chains_table])
def test_the_docs_hold_the_tables_of_the_rows(table: object) -> None:
    assert callable(table)
    assert table(ROWS) in (DOCS / "evaluation.md").read_text()


def test_each_query_and_layer_is_there_once() -> None:
    keys = [(row["layer"], row["seed"]) for row in ROWS]
    assert sorted(keys) == [(layer, seed) for layer in (1, 2, 3, 4) for seed in range(10)]


def row(seed: int, ours: float, ball: float) -> faces.Row:
    values = dict.fromkeys(faces.METRICS, 0.5)
    scores = {E_GBAS: values | {DEVIATION: ours}, L2: values | {DEVIATION: ball}}
    exact = {EXACT: values | {DEVIATION: ours}}
    chains = {"units": 10 + seed, "evaluations": 1000, "unconverged": [EXACT] * seed, "log10_mass": [-3.0, -4.0, -2.0]}
    return {"layer": 2, "seed": seed, "scores": scores | exact, **chains}


def test_lines_by_hand() -> None:
    rows = [row(0, 0.1, 0.2), row(1, 0.3, 0.6)]
    line = faces.paper_table(rows).splitlines()[2]
    assert line == "| 2 | deviation | 0.200 | 0.400 |  |  |  | 0.50 |  |"  # two queries have no interval
    assert faces.chains_table(rows).splitlines()[2] == "| 2 | 2 | 10 to 11 | 1,000 | 1 | 0 | 0 | -3 to -3 |"
    assert faces.chains_table([{**one, "log10_mass": None} for one in rows]).splitlines()[2].endswith("| 0 |  |")
