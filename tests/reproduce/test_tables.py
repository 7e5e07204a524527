# SPDX-License-Identifier: MIT
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from egbas.evaluation.baselines import E_GBAS, L2
from egbas.evaluation.comparison import SIMILARITY, Score
from egbas.evaluation.equal_mass import EQUAL_MASS
from egbas.evaluation.exact_methods import EXACT, RANDOM_SET, RANDOM_WEIGHTS
from egbas.reproduce import table1, table2, tables
from egbas.reproduce.measurement import OTHER_MODELS, Measurement
from egbas.reproduce.tables import PaperTable

SCORE = Score(model="dcgan-mnist", layer=1, query=0, method=E_GBAS, metric="deviation", value=0.1)


def counted(scores: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return [{"n": len(scores)}], []


def test_a_table_measures_and_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def measure(*words: Any, exact: object, seeds: object, repeats: int, own: object) -> Measurement:
        asked.append((*words[:3], exact, seeds, repeats, own))
        return Measurement(scores=(SCORE,), config={"seeds": [0]})

    monkeypatch.setattr(tables, "measure", measure)
    content = PaperTable("table9", counted).run(("dcgan-mnist",), (1,), n_queries=1, out=tmp_path)
    assert asked == [(("dcgan-mnist",), (1,), 1, None, None, 1, None)]
    assert content == {"rows": [{"n": 1}], "ratios": [], "config": {"seeds": [0]}, "note": OTHER_MODELS}
    assert json.loads((tmp_path / "table9.json").read_text()) == content


def test_both_tables_of_the_paper_are_such() -> None:
    assert [table1.TABLE.name, table2.TABLE.name] == ["table1", "table2"]
    assert table1.run == table1.TABLE.run
    assert table2.run == table2.TABLE.run


def test_other_seeds_of_beropt_are_told_beside_the_table(tmp_path: Path) -> None:
    scores = [(SCORE, replace(SCORE, method=L2, value=value)) for value in (0.2, 0.4)]
    content = table1.TABLE.write(Measurement(scores=scores[0], config={}, again=(scores[1],)), tmp_path)
    (ratio,), (over,) = content["ratios"], content["over_seeds"]
    assert ratio["mean"] == pytest.approx(0.5)  # the table itself is of the first seed
    assert (over["least"], over["most"], over["n_seeds"]) == (pytest.approx(0.25), pytest.approx(0.5), 2)


def test_the_paper_has_nothing_beside_a_critic_of_ones_own(tmp_path: Path) -> None:
    score = replace(SCORE, model="dcgan-mnist", metric=f"{SIMILARITY} 1")
    scores = score, replace(score, method=L2, value=0.5)
    for critic, is_told in ((None, True), ("m:critic", False)):
        content = table2.TABLE.write(Measurement(scores=scores, config={"critic": critic}), tmp_path)
        papers = [row["paper"] for row in content["ratios"] if row["layer"] == table2.ALL_LAYERS]
        assert len(papers) == 1 and (papers[0] is not None) == is_told


def test_without_exact_rows_there_is_no_table_of_them() -> None:
    rows = [{"model": "m", "layer": 1, "method": E_GBAS, "metric": "deviation", "mean": 0.1}]
    assert tables.exact_table({"rows": rows, "ratios": []}) is None


def test_a_method_that_was_not_drawn_at_a_layer_is_a_dash() -> None:
    def row(layer: int, method: str, mean: float) -> dict[str, Any]:
        return {"model": "m", "layer": layer, "method": method, "metric": "deviation", "mean": mean}

    rows = [row(1, EXACT, 0.1), row(1, RANDOM_SET, 0.2), row(2, EXACT, 0.3)]
    over = {**row(1, RANDOM_SET, 0.5), "metric": "exact samples / baseline, deviation", "low": 0.4, "high": 0.6}
    headings, lines = tables.exact_table({"rows": rows, "ratios": [over]}) or ([], [])
    assert headings == ["model", "l", "metric", EXACT, RANDOM_SET, "exact / random set"]
    assert lines == [
        ["m", "1", "deviation", "0.1000", "0.2000", "0.500 [0.400, 0.600]"],
        ["m", "2", "deviation", "0.3000", "-", "-"],
    ]


def test_chains_that_did_not_converge_and_what_is_left_out_are_told() -> None:
    def row(method: str, n: int, layer: int | str = 2) -> dict[str, Any]:
        return {"model": "m", "layer": layer, "method": method, "metric": "deviation", "mean": 0.1, "n_queries": n}

    rows = [row(EXACT, 3), row(EQUAL_MASS, 2), row(RANDOM_SET, 3), row(RANDOM_WEIGHTS, 3), row(EXACT, 3, "all")]
    config = {
        "seeds": [0, 1, 2],
        "repeats": 2,
        "unconverged": [["m", 2, 0, EXACT], ["m", 2, 1, EXACT]],
        "unconverged_again": [[1, "m", 2, 1, EXACT]],
    }
    assert tables.doubts_of({"rows": rows, "config": config}) == [
        "m, layer 2: the chains of 'exact samples' did not converge at 3 of 6 queries and masks; "
        "its numbers are a hint",
        "m, layer 2: 'ball of equal mass' is of 2 of 3 queries",
    ]
    told = tables.doubts_of({"rows": rows[:1], "config": {"seeds": [0, 1, 2], "unconverged": [["m", 2, 0, EXACT]]}})
    assert told[0].endswith("at 1 of 3 queries; its numbers are a hint")
    assert tables.doubts_of({"rows": [row(E_GBAS, 3)], "config": {"seeds": [0, 1, 2]}}) == []
