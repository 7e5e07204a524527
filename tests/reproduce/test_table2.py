# SPDX-License-Identifier: MIT
import json
from pathlib import Path

import pytest

from egbas.evaluation.baselines import E_GBAS, L2, LINF
from egbas.evaluation.comparison import Score
from egbas.reproduce import table2
from egbas.reproduce.measurement import Measurement


def scores(method: str, metric: str, *values: tuple[int, int, float]) -> list[Score]:
    """Scores of (layer, query, value)."""
    return [
        Score(model="dcgan-mnist", layer=layer, query=query, method=method, metric=metric, value=value)
        for layer, query, value in values
    ]


def measured() -> Measurement:
    metric = "critic similarity 1"
    found = scores(E_GBAS, metric, (1, 0, 0.8), (2, 0, 1.0), (1, 1, 0.6)) + scores(L2, metric, (1, 0, 0.4), (1, 1, 0.3))
    found += scores(E_GBAS, "deviation", (1, 0, 0.1)) + scores(E_GBAS, "class consistency", (1, 0, 1.0))
    return Measurement(scores=tuple(found), config={})


def test_mean_over_layers_then_queries() -> None:
    found = {(score.query, score.method): score.value for score in table2.over_layers(measured().scores[:5])}
    assert found == {
        (0, E_GBAS): pytest.approx(0.9),
        (1, E_GBAS): pytest.approx(0.6),
        (0, L2): pytest.approx(0.4),
        (1, L2): pytest.approx(0.3),
    }


def test_the_file_and_its_rows(tmp_path: Path) -> None:
    content = table2.TABLE.write(measured(), tmp_path)
    assert json.loads((tmp_path / "table2.json").read_text()) == content
    means = {(row["layer"], row["metric"], row["method"]): row["mean"] for row in content["rows"]}
    assert means["all", "critic similarity 1", E_GBAS] == pytest.approx(0.75)
    assert means[1, "critic similarity 1", L2] == pytest.approx(0.35)
    assert {metric for _, metric, _ in means} == {"critic similarity 1", "class consistency"}


def test_the_paper_stands_beside_all_layers_only(tmp_path: Path) -> None:
    content = table2.TABLE.write(measured(), tmp_path)
    papers = {(row["layer"], row["method"]): row["paper"] for row in content["ratios"]}
    assert papers == {(1, L2): None, ("all", L2): pytest.approx(0.747 / 0.722)}
    headings, lines = table2.as_table(content)
    by_name = {tuple(line[1:3]): line[3:] for line in lines}
    assert len(headings) == len(lines[0])
    assert by_name["all", "critic similarity 1"] == ["0.7500", "0.3500", "-", "-", "2.143", "1.035", "-", "-"]


def test_paper_ratios() -> None:
    assert table2.paper_ratio(4, LINF) == pytest.approx(0.992 / 0.991)
    assert table2.paper_ratio(5, L2) is None
    assert table2.paper_ratio(1, "radius-matched") is None
