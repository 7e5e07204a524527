# SPDX-License-Identifier: MIT
import re
from typing import Any

import pytest

from egbas.exploration.result import Exploration
from egbas.report.sweep_page import columns_of, odd_tasks, render_sweep
from tests.runs import plane_run


def rows(n: int, **odd: float) -> list[dict[str, Any]]:
    """Tasks of two layers; seed 3 of layer 2 is odd."""
    found = []
    for layer in ("1", "10"):
        for seed in range(n):
            row: dict[str, Any] = {"task": f"{len(found):032x}", "model": "m", "layer": layer, "level": 6, "seed": seed}
            row |= {"fidelity": 0.1 + 0.001 * (seed % 5), "region.freedom": None, "warnings": ""}
            found.append(row | (odd if (layer, seed) == ("10", 3) else {}))
    return found


def page(table: list[dict[str, Any]], run: Exploration, **settings: Any) -> tuple[str, list[str]]:
    loaded: list[str] = []

    def load(task: str) -> Exploration:
        loaded.append(task)
        return run

    return render_sweep(table, load, failures=settings.get("failures", {}), title="Sweep <a>"), loaded


@pytest.fixture(scope="module")
def run() -> Exploration:
    return plane_run()


def test_the_odd_one_is_shown_with_pictures_and_a_link(run: Exploration) -> None:
    html, loaded = page(rows(9, fidelity=0.9), run)
    assert loaded == [f"{12:032x}"]
    assert f'href="tasks/{12:032x}/"' in html and "layer 10, level 6, seed 3" in html
    assert "relative error of the kept units alone 0.9, median 0.102" in html
    assert "Sweep &lt;a&gt;" in html and "18 finished tasks" in html
    assert html.count("Distributions over queries") == 1  # of what the tasks have
    assert len(re.findall("<tr>", html)) == 3


def test_layers_stand_in_their_order_and_without_outliers_it_says_so(run: Exploration) -> None:
    html, loaded = page(list(reversed(rows(9))), run)
    assert loaded == [] and "None: no task lies more than" in html
    assert html.index("<td>layer 1, level 6</td>") < html.index("<td>layer 10, level 6</td>")


def test_failures_and_warnings_are_told(run: Exploration) -> None:
    table = rows(5)
    table[0]["warnings"] = "beware"
    for row, n in ((table[1], "1,000"), (table[2], "2.5")):
        row["warnings"] = f"after {n} steps, |z - z0|\nafter {n} steps, |z - z0|"
    html, _ = page(table, run, failures={f"task {i}": "it is <bad>" for i in range(20)})
    assert "20 failed" in html and "3 with a warning" in html
    assert "<b>2</b>: after # steps, |z - z0|" in html and "<b>1</b>: beware" in html
    assert html.count("it is &lt;bad&gt;") == 12 and "and 8 more" in html


def test_few_tasks_or_equal_ones_have_no_outliers() -> None:
    import array

    def group(values: list[float]) -> dict[str, Any]:
        empty = array.array("d", [float("nan")] * len(values))
        measures = dict.fromkeys(
            ("region.freedom", "region.distance.q95", "region.log10_mass", "supporting_units", "acceptance"), empty
        )
        return {"tasks": [(bytes([i] * 16), i) for i in range(len(values))], **measures, "fidelity": values}

    key = ("m", "1", None)
    assert odd_tasks({key: group([1.0, 2.0, 900.0])}, {key: "layer 1"}) == []
    assert odd_tasks({key: group([1.0] * 9)}, {key: "layer 1"}) == []
    alike = [1.0, 1.001, 1.002, 1.001, 1.0, 1.04]  # 26 deviations, and no reader would call it odd
    assert odd_tasks({key: group(alike)}, {key: "layer 1"}) == []
    (odd,) = odd_tasks({key: group([1.0, 2.0, 3.0, 2.0, 1.0, 90.0])}, {key: "layer 1"})
    assert odd["name"] == "layer 1, seed 5"


def test_the_columns_that_are_read() -> None:
    assert columns_of(["task", "seed", "fidelity", "beropt.masks"]) == ["task", "seed", "fidelity"]
