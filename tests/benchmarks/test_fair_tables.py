# SPDX-License-Identifier: MIT
"""The tables of regions beside their fair rivals say what the rows say."""

import json
from pathlib import Path
from typing import Any

from benchmarks import fair_tables

DOCS = Path(__file__).parents[2] / "docs"
CONTENT = json.loads(fair_tables.ROWS.read_text())


def test_the_docs_hold_the_tables_of_the_rows() -> None:
    page = (DOCS / "evaluation.md").read_text()
    for told in (fair_tables.deviations, fair_tables.similarities, fair_tables.seeds):
        assert told(CONTENT) in page


def row(method: str, mean: float, metric: str = "deviation", **more: Any) -> dict[str, Any]:
    return {"model": "m.pt", "layer": 1, "method": method, "metric": metric, "mean": mean, **more}


def table(folder: Path, **more: Any) -> Path:
    """A folder as ``egbas reproduce table1 --exact --out FOLDER`` leaves it, of two queries."""
    over = row("random set", 0.5, "exact samples / baseline, deviation", low=0.4, high=0.6)
    config = {
        "layers": {"m.pt": [1]},
        "seeds": [0, 1],
        "log10_mass": [["m.pt", 1, 0, [-2.0, -2.1, -1.9]]],
        "unconverged": [["m.pt", 1, 1, "exact samples"], ["m.pt", 1, 0, "random weights"]],
    }
    rows = [row("E-GBAS", 0.3), row("exact samples", 0.1), row("random set", 0.2), row("exact samples", 1, "epsilon")]
    folder.mkdir()
    (folder / "table1.json").write_text(json.dumps({"rows": rows, "ratios": [over], "config": config, **more}))
    return folder


def test_rows_of_a_folder(tmp_path: Path) -> None:
    found = fair_tables.gathered([table(tmp_path / "a")])
    assert [(one["model"], one["method"]) for one in found["rows"]] == [
        ("faces", "exact samples"),
        ("faces", "random set"),
    ]
    assert [one["log10_mass"] for one in found["queries"]] == [[-2.0, -2.1, -1.9], None]
    line = fair_tables.deviations(found).splitlines()[-1]
    assert line == "| `faces` | 1 | 2 | 1 | 0 | 1 | 0.100 |  | 0.200 |  |  | 0.50 [0.40, 0.60] |  |"


def test_of_a_folder_with_repeats_the_seeds_alone_count(tmp_path: Path) -> None:
    over = row("random set", 0.7, "exact samples / baseline, deviation", low=0.6, high=0.8, query=3)
    found = fair_tables.gathered([table(tmp_path / "a"), table(tmp_path / "b", over_seeds=[over])])
    assert (len(found["rows"]), len(found["queries"])) == (2, 2)
    assert fair_tables.seeds(found).splitlines()[-1] == "| `faces` | 1 | 3 |  | 0.70 [0.60, 0.80] |  |"


def test_layers_that_are_measured_again_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    before = fair_tables.gathered([table(tmp_path / "a")])
    other = {name: [{**one, "layer": 2} for one in rows] for name, rows in before.items()}
    now = fair_tables.gathered([table(tmp_path / "b", rows=[row("exact samples", 0.4)])])
    found = fair_tables.joined({name: [*before[name], *other[name]] for name in before}, now)
    assert [(one["layer"], one["mean"]) for one in found["rows"]] == [(2, 0.1), (2, 0.2), (1, 0.4)]
    assert fair_tables.joined({}, now) == now


def test_too_few_queries_have_no_interval(tmp_path: Path) -> None:
    for n, told in ((3, "0.50"), (5, "0.50 [0.40, 0.60]")):
        over = row("random set", 0.5, "exact samples / baseline, deviation", low=0.4, high=0.6, n_queries=n)
        found = fair_tables.gathered([table(tmp_path / str(n), ratios=[over])])
        assert f"| {told} |" in fair_tables.deviations(found).splitlines()[-1]
