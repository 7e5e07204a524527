# SPDX-License-Identifier: MIT
from xml.etree import ElementTree

import numpy as np

from egbas.figures.drawing import CROSS, Drawing

SVG = "{http://www.w3.org/2000/svg}"


def parts(drawing: Drawing) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(drawing.svg()))


def test_has_its_size() -> None:
    root = ElementTree.fromstring(Drawing(width=30, height=20).svg())
    assert (root.tag, root.get("width"), root.get("height")) == (f"{SVG}svg", "30", "20")


def test_lines_areas_and_marks_are_one_path_each() -> None:
    drawing = Drawing(width=30, height=20)
    drawing.lines([np.array([[0.0, 1.0], [2.04, 3.0]]), np.array([[4.0, 5.0], [6.0, 7.0]])], "#000", dash="6 3")
    drawing.area([np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])], "#111")
    drawing.marks(np.array([[1.0, 2.0], [3.0, 4.0]]), CROSS, "#222")
    drawing.star(np.array([5.0, 5.0]), "#333", radius=2.0)
    lines, area, marks, star = parts(drawing)
    assert lines.get("d") == "M0.0,1.0 2.0,3.0M4.0,5.0 6.0,7.0"
    assert lines.get("stroke-dasharray") == "6 3"
    assert area.get("d") == "M0.0,0.0 1.0,0.0 1.0,1.0z"
    assert marks.get("d") == f"M1.0 2.0{CROSS}M3.0 4.0{CROSS}"
    assert (star.get("d") or "").startswith("M5.0,3.0 ")  # the first corner is above


def test_nothing_is_drawn_of_nothing() -> None:
    drawing = Drawing(width=30, height=20)
    drawing.lines([], "#000")
    drawing.marks(np.zeros((0, 2)), CROSS, "#000")
    assert not parts(drawing)


def test_words_are_escaped() -> None:
    drawing = Drawing(width=30, height=20)
    drawing.words(1.0, 2.0, "a < b & c", turned=True)
    (words,) = parts(drawing)
    assert words.text == "a < b & c"
    assert "rotate" in (words.get("transform") or "")


def test_pictures_are_stretched_over_their_place() -> None:
    drawing = Drawing(width=30, height=20)
    drawing.picture(1.0, 2.0, 10.0, 5.0, np.zeros((3, 4), dtype=np.float32))
    drawing.rectangle(1.0, 2.0, 10.0, 5.0, "#000", is_filled=False)
    picture, rectangle = parts(drawing)
    assert picture.tag == f"{SVG}image"
    assert [picture.get(key) for key in ("x", "y", "width", "height")] == ["1", "2", "10", "5"]
    assert (rectangle.get("fill"), rectangle.get("stroke")) == ("none", "#000")
