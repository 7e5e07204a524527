# SPDX-License-Identifier: MIT
import re

import numpy as np

from egbas.figures.distributions import distributions_drawing


def test_a_row_for_each_group_with_its_dots_and_its_median() -> None:
    values = np.arange(11, dtype=np.float64)
    svg = distributions_drawing([("layer 1", values), ("layer 2", values[:3])], "freedom").svg()
    for words in ("layer 1 (11)", "layer 2 (3)", "freedom"):
        assert f">{words}<" in svg
    dots = [path.count("h0") for path in re.findall(r'd="([^"]*h0[^"]*)"', svg)]
    assert dots == [11, 3]


def test_many_dots_are_thinned_and_one_value_is_drawn() -> None:
    many = distributions_drawing([("a", np.random.default_rng(0).normal(size=5000))], "x").svg()
    assert max(path.count("h0") for path in re.findall(r'd="([^"]*)"', many)) == 400
    assert "nan" not in distributions_drawing([("a", np.array([2.0]))], "x").svg()


def test_the_middle_half_and_the_median_stand_where_they_are() -> None:
    svg = distributions_drawing([("a", np.array([0.0, 1.0, 2.0, 3.0, 4.0]))], "x").svg()
    (box, median) = re.findall(r'd="M([^"h]*)" fill="none" stroke="#0072B2"', svg)
    left, right, middle = (float(box.split()[i].split(",")[0]) for i in (0, 1, 1))
    middle = float(median.split()[0].split(",")[0])
    assert left < middle < right
    assert abs((left + right) / 2 - middle) < 0.11  # the values are symmetric
