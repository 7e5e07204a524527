# SPDX-License-Identifier: MIT
import json
import math
from dataclasses import replace

import pytest
import torch

from egbas.evaluation.sanity.necessity import Crossings, Median, Necessity, first_crossings, necessity
from tests.problems import QUERY, QUERY_X, BoxNet, Plain, ScaleInvariantNet
from tests.sanities import problem_of, small_sanity


def test_crossings_of_an_affine_layer_are_the_nearest() -> None:
    # h = (3, -1, 2), with gradients of length sqrt(2), sqrt(2), sqrt(5).
    problem, tail = problem_of(Plain(), QUERY)
    assert problem.precisions is not None
    distances, z = first_crossings(problem, problem.precisions.split, tail.h, torch.tensor([0, 1, 2]))
    expected = torch.tensor([3 / 2**0.5, 1 / 2**0.5, 2 / 5**0.5], dtype=torch.float64)
    torch.testing.assert_close(distances, expected, rtol=1e-5, atol=1e-5)
    h = problem.precisions.split.head(z)
    assert h.diagonal().abs().max() < 1e-5
    torch.testing.assert_close((z - QUERY).norm(dim=1).double(), expected, rtol=1e-5, atol=1e-5)


def test_the_support_of_the_prior_ends_the_line() -> None:
    query = torch.tensor([0.2, 0.0])
    problem, tail = problem_of(BoxNet(), query, prior="uniform", bound=0.9)  # the box has its walls at 1
    assert problem.precisions is not None
    distances, _ = first_crossings(problem, problem.precisions.split, tail.h, torch.arange(4))
    assert distances.isinf().all()


def test_on_a_sphere_the_lines_are_great_circles() -> None:
    query = torch.tensor([0.5, -0.4, 0.3, 1.0, -1.0])
    problem, tail = problem_of(ScaleInvariantNet(5), query)
    assert problem.latent.geometry == "sphere" and problem.precisions is not None
    distances, z = first_crossings(problem, problem.precisions.split, tail.h, torch.arange(40))
    found = distances.isfinite()
    assert int(found.sum()) > 10
    torch.testing.assert_close(z[found].norm(dim=1), query.norm().expand(int(found.sum())))
    angles = (z[found] @ query / query.norm() ** 2).clamp(-1, 1).acos()
    torch.testing.assert_close(angles.double() * float(query.norm()), distances[found], rtol=1e-3, atol=1e-3)


def test_kept_and_dropped_by_hand() -> None:
    problem, tail = problem_of(Plain(), QUERY)
    found = necessity(problem, tail, torch.tensor([0]))
    json.dumps(found.row(), allow_nan=False)
    assert (found.kept.units, found.dropped.units) == (1, 1)  # the second unit is not active
    assert found.kept.distance.value == pytest.approx(3 / 2**0.5, rel=1e-4)
    assert found.dropped.distance.value == pytest.approx(2 / 5**0.5, rel=1e-4)
    lost = float(2 * torch.tensor([1.0, -2.0]).norm() / QUERY_X.norm())
    assert found.dropped.removed.value == pytest.approx(lost, rel=1e-5)
    rate = found.dropped.change.value / found.dropped.distance.value  # type: ignore[operator]
    assert found.dropped.rate.value == pytest.approx(rate)


def test_all_kept_leaves_nothing_to_compare() -> None:
    problem, tail = problem_of(Plain(), QUERY)
    assert "All active units are kept" in necessity(problem, tail, torch.tensor([0, 2])).verdict


def test_medians_leave_out_what_was_not_found() -> None:
    rng = torch.Generator().manual_seed(0)
    median = Median.of(torch.tensor([1.0, 2.0, 3.0, 3.0, 4.0, 5.0, 6.0, math.inf, math.nan]), rng)
    assert median.value == 3.0 and median.low == 2.0 and median.high == 5.0
    assert Median.of(torch.tensor([math.inf]), rng).row() == [None, None, None]
    assert Median.of(torch.tensor([math.inf]), rng).text == "none"


def test_few_units_have_no_interval_and_decide_nothing() -> None:
    few = Median.of(torch.full((5,), 0.3), torch.Generator().manual_seed(0))
    assert few.row() == [pytest.approx(0.3), None, None]
    assert few.text == "0.3 (too few units for an interval)"
    kept = replace(_crossings(2.0), change=few)
    told = Necessity(kept=kept, dropped=_crossings(9.0)).verdict
    assert told.startswith("At the crossing: kept 0.3 (too few units for an interval), dropped 9 [8.9, 9.1]; not comp")


def _crossings(value: float, crossed: int = 5) -> Crossings:
    median = Median(value=value, low=value - 0.1, high=value + 0.1)
    return Crossings(units=5, crossed=crossed, distance=median, change=median, rate=median, removed=median)


def test_verdicts_go_by_the_intervals() -> None:
    assert Necessity(kept=_crossings(2.0), dropped=_crossings(1.0)).verdict.count("a kept unit changes") == 3
    assert Necessity(kept=_crossings(1.0), dropped=_crossings(2.0)).verdict.count("a dropped unit changes") == 3
    assert Necessity(kept=_crossings(1.0), dropped=_crossings(1.1)).verdict.count("no difference") == 3
    assert "No boundary of a kept unit" in Necessity(kept=_crossings(1.0, 0), dropped=_crossings(1.1)).verdict


def test_the_small_network() -> None:
    found = small_sanity().necessity
    json.dumps(found.row(), allow_nan=False)
    assert found.kept.units == small_sanity().weights.trained.units
    assert 0 < found.kept.crossed <= found.kept.units
