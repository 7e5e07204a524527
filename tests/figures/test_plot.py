# SPDX-License-Identifier: MIT
import re

import numpy as np
import pytest

from egbas.figures.drawing import Drawing
from egbas.figures.plot import Plot, Range, colour_bar, falling, ticks
from egbas.figures.style import coloured


def plot(y: Range = (0.0, 10.0)) -> Plot:
    return Plot(
        drawing=Drawing(width=300, height=200), left=50.0, top=20.0, width=200.0, height=100.0, x=(-1.0, 1.0), y=y
    )


def test_values_have_their_places() -> None:
    corners = np.array([[-1.0, 0.0], [1.0, 10.0], [0.0, 5.0]])
    assert plot().at(corners).tolist() == [[50, 120], [250, 20], [150, 70]]


@pytest.mark.parametrize(
    ("values", "most", "expected"),
    [
        ((0.0, 10.0), 5, ["0", "2", "4", "6", "8", "10"]),
        ((-0.11, 0.11), 5, ["\u22120.10", "\u22120.05", "0.00", "0.05", "0.10"]),
        ((3.0, 3.0004), 2, ["3.0000", "3.0002", "3.0004"]),
        ((0.0, 12_000.0), 4, ["0", "5000", "10000"]),
    ],
)
def test_ticks_are_round(values: Range, most: int, expected: list[str]) -> None:
    assert [told for _, told in ticks(values, most)] == expected


def test_counts_have_whole_ticks() -> None:
    assert [told for _, told in ticks((0.0, 1.05), 8, counts=True)] == ["0", "1"]


def test_there_are_never_more_ticks_than_asked_for_but_one() -> None:
    rng = np.random.default_rng(0)
    for low, width in zip(rng.normal(size=200), 10.0 ** rng.uniform(-6, 6, 200), strict=True):
        for most in (2, 5, 8):
            found = ticks((low, low + width), most)
            assert len(found) <= most + 1
            assert all(low - 1e-9 * width <= value <= low + width * (1 + 1e-9) for value, _ in found)


def test_scales_write_their_numbers_and_labels() -> None:
    area = plot()
    area.frame()
    area.scale_below("across")
    area.scale_beside("up")
    area.scale_beside("other", is_right=True)
    svg = area.drawing.svg()
    assert all(f">{word}</text>" in svg for word in ("across", "up", "other", "10", "0"))


def test_a_bar_of_colours_falls_from_its_highest_value() -> None:
    area = plot(y=(0.0, 1.0))
    colours = coloured(falling())
    assert colours[0].sum() > colours[-1].sum()
    colour_bar(area, colours, "freedom")
    assert ">freedom</text>" in area.drawing.svg()


def test_a_label_makes_way_for_long_numbers() -> None:
    def place(y: Range) -> float:
        area = plot(y)
        area.scale_beside("label", is_right=True)
        found = re.search(r'<text x="([^"]*)"[^>]*>label<', area.drawing.svg())
        assert found
        return float(found[1])

    assert place((0.0, 1e-6)) > place((0.0, 1.0))
