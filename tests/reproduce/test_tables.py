# SPDX-License-Identifier: MIT
import json
from pathlib import Path
from typing import Any

import pytest

from egbas.evaluation.baselines import E_GBAS
from egbas.evaluation.comparison import Score
from egbas.reproduce import table1, table2, tables
from egbas.reproduce.measurement import OTHER_MODELS, Measurement
from egbas.reproduce.tables import PaperTable

SCORE = Score(model="dcgan-mnist", layer=1, query=0, method=E_GBAS, metric="deviation", value=0.1)


def counted(scores: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return [{"n": len(scores)}], []


def test_a_table_measures_and_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def measure(*words: Any, exact: object, seeds: object) -> Measurement:
        asked.append((*words[:3], exact, seeds))
        return Measurement(scores=(SCORE,), config={"seeds": [0]})

    monkeypatch.setattr(tables, "measure", measure)
    content = PaperTable("table9", counted).run(("dcgan-mnist",), (1,), n_queries=1, out=tmp_path)
    assert asked == [(("dcgan-mnist",), (1,), 1, None, None)]
    assert content == {"rows": [{"n": 1}], "ratios": [], "config": {"seeds": [0]}, "note": OTHER_MODELS}
    assert json.loads((tmp_path / "table9.json").read_text()) == content


def test_both_tables_of_the_paper_are_such() -> None:
    assert [table1.TABLE.name, table2.TABLE.name] == ["table1", "table2"]
    assert table1.run == table1.TABLE.run
    assert table2.run == table2.TABLE.run
