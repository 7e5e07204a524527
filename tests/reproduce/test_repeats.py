# SPDX-License-Identifier: MIT
import math

import pytest

from egbas.evaluation.comparison import Score, ratios
from egbas.reproduce.repeats import as_table, mean_interval, over_seeds, ratio_interval


def scores(*values: tuple[int, float, float]) -> list[Score]:
    """Deviations of E-GBAS and of a ball at some queries."""
    return [
        Score(model="m", layer=2, query=query, method=method, metric="deviation", value=value)
        for query, ours, other in values
        for method, value in (("E-GBAS", ours), ("eps-L2", other))
    ]


def test_each_query_has_its_mean_and_interval_over_the_seeds() -> None:
    sets = [
        scores((0, 1.0, 2.0), (1, 1.0, 1.0)),
        scores((0, 2.0, 1.0), (1, 1.0, 1.0)),
        scores((0, 1.0, 1.0), (1, 3.0, 3.0)),
    ]
    first, second = over_seeds(sets, ratios)
    assert (first["query"], first["method"], first["n_seeds"]) == (0, "eps-L2", 3)
    assert (first["least"], first["most"]) == (0.5, 2.0)
    assert first["mean"] == pytest.approx(1.0)  # geometric: 1/2, 2, 1
    # Logarithms -log 2, log 2, 0: their deviation is log 2, and t of two degrees of freedom is 4.303.
    assert first["high"] == pytest.approx(math.exp(4.3027 * math.log(2) / math.sqrt(3)), rel=1e-3)
    assert first["low"] == pytest.approx(1 / first["high"])
    assert (second["query"], second["low"], second["high"]) == (1, pytest.approx(1.0), pytest.approx(1.0))


def test_few_values_have_the_interval_of_student() -> None:
    # Mean 2, deviation 1, and t of two degrees of freedom is 4.303.
    half = 4.3027 / math.sqrt(3)
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2 - half, 2 + half), rel=1e-4)
    assert ratio_interval([0.5, 2.0])[0] == pytest.approx(1.0)


def test_what_one_seed_has_and_what_is_zero_is_left_out() -> None:
    sets = [scores((0, 1.0, 2.0), (1, 0.0, 1.0)), scores((1, 1.0, 1.0))]
    assert over_seeds(sets, ratios) == []


def test_a_line_for_each_query() -> None:
    rows = over_seeds([scores((0, 1.0, 2.0), (1, 1.0, 4.0)), scores((0, 1.0, 2.0), (1, 1.0, 4.0))], ratios)
    headings, lines = as_table({"over_seeds": rows}) or ([], [])
    assert headings == ["model", "l", "query", "E-GBAS / eps-L2"]
    assert lines == [["m", "2", "0", "0.500 [0.500, 0.500]"], ["m", "2", "1", "0.250 [0.250, 0.250]"]]


def test_a_table_of_one_seed_has_none() -> None:
    assert as_table({"rows": []}) is None
