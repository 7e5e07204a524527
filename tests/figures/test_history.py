# SPDX-License-Identifier: MIT
import re

from egbas.figures import history_drawing


def heights(svg: str) -> list[list[float]]:
    """Of the points of each line of many."""
    lines = re.findall(r'd="M([^"z]*)"', svg)
    return [[float(point.split(",")[1]) for point in line.split()] for line in lines if line.count(",") > 2]


def test_loss_and_size_have_their_own_scales() -> None:
    svg = history_drawing(range(1, 5), [3.0, 2.0, 1.0, 0.0], [10.0, 20.0, 30.0, 30.0]).svg()
    assert "loss (solid)" in svg
    assert "kept units (dashed)" in svg
    loss, size = heights(svg)
    assert loss == sorted(loss)  # it falls: y counts from the top
    assert size == sorted(size, reverse=True)


def test_sizes_may_be_missing() -> None:
    svg = history_drawing([1, 2, 3], [1.0, 0.5, 0.5], []).svg()
    assert "kept units" not in svg
    assert len(heights(svg)) == 1


def test_a_single_step_and_a_constant_loss_can_be_drawn() -> None:
    assert "nan" not in history_drawing([1], [0.5], [0.0]).svg()
