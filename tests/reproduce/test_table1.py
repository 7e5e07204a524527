# SPDX-License-Identifier: MIT
import json
from pathlib import Path

import pytest

from egbas.evaluation.baselines import E_GBAS, L2, LINF, RADIUS_MATCHED
from egbas.evaluation.comparison import Score
from egbas.reproduce import table1
from egbas.reproduce.measurement import Measurement


def measured() -> Measurement:
    """Two queries at layer 1, without a ball at the second."""
    values = [(0, E_GBAS, 0.1), (0, L2, 0.2), (0, LINF, 0.25), (0, RADIUS_MATCHED, 0.4)]
    values += [(1, E_GBAS, 0.3), (1, RADIUS_MATCHED, 0.4)]
    scores = [
        Score(model="dcgan-mnist", layer=1, query=query, method=method, metric=metric, value=value)
        for query, method, value in values
        for metric in ("deviation", "in region")
    ]
    return Measurement(scores=tuple(scores), config={"seeds": [0, 1]})


def test_the_file_and_its_rows(tmp_path: Path) -> None:
    content = table1.TABLE.write(measured(), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "table1.json").read_text()) == content
    assert {row["metric"] for row in content["rows"]} == {"deviation"}
    assert content["rows"][0].keys() >= {"model", "layer", "method", "mean", "low", "high", "n_queries"}
    found = {row["method"]: (row["mean"], row["n_queries"]) for row in content["ratios"]}
    assert found == {
        L2: (pytest.approx(0.5), 1),
        LINF: (pytest.approx(0.4), 1),
        RADIUS_MATCHED: (pytest.approx(0.5), 2),
    }
    assert content["config"] == {"seeds": [0, 1]}


def test_the_paper_beside(tmp_path: Path) -> None:
    content = table1.TABLE.write(measured(), tmp_path)
    assert [row["paper"] for row in content["ratios"]] == [
        pytest.approx(0.954, abs=5e-4),
        pytest.approx(0.936, abs=5e-4),
        None,
    ]
    headings, (line,) = table1.as_table(content)
    assert dict(zip(headings[:6], line[:6], strict=True)) == {
        "model": "dcgan-mnist",
        "l": "1",
        E_GBAS: "0.2000",
        L2: "0.2000",
        LINF: "0.2500",
        RADIUS_MATCHED: "0.4000",
    }
    assert line[6:] == ["0.500", "0.954", "0.400", "0.936", "0.500 [0.250, 0.750]"]


def test_the_paper_has_four_layers() -> None:
    # 0.0781 / 0.0819 and so on, by hand.
    assert [round(table1.paper_ratio("dcgan-mnist", layer, L2) or 0, 2) for layer in range(1, 5)] == [
        0.95,
        0.98,
        0.94,
        0.94,
    ]
    assert table1.paper_ratio("dcgan-mnist", 5, L2) is None
    assert table1.paper_ratio("dcgan-mnist", "tanh", L2) is None


def test_the_paper_has_no_numbers_of_another_kind_of_network() -> None:
    assert table1.paper_ratio("pggan-mnist", 2, L2) is None
