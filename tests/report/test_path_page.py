# SPDX-License-Identifier: MIT
import base64
import dataclasses
import functools
import io
import re
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image

from egbas.beropt import error_of
from egbas.exploration.facts import Facts
from egbas.exploration.path import LevelPath, PathPoint, explore_path
from egbas.report.path_page import HEADINGS, figure_of, reading, render_path, table_of, tensors_of
from egbas.samplers.chains import NOT_CONVERGED
from tests.problems import HALVES_QUERY, HalvesNet


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@functools.cache
def halves() -> LevelPath:
    """Two layers at two levels, a linear map and its non-linearity. One for all tests, which leave it as it is."""
    return explore_path(
        HalvesNet(), HALVES_QUERY, ["0", 1], [1, 5], rng=3, samples=5, max_evaluations=1, model_name="small <net>"
    )


@functools.cache
def backdrop() -> LevelPath:
    """A level without units, and one with all four."""
    return explore_path(HalvesNet(backdrop=10.0), HALVES_QUERY, [1], [5, 8], rng=3, samples=5)


@pytest.fixture(scope="module")
def page() -> str:
    return render_path(halves(), "egbas path --model 'small <net>'")


def with_freedom(*values: tuple[int, int, float]) -> list[PathPoint]:
    """Points at these layers and levels, of these freedoms."""
    point = halves().points[0]
    facts = point.facts
    assert facts is not None
    return [
        dataclasses.replace(
            point,
            level=level,
            layer=dataclasses.replace(point.layer, number=layer, path=f"relu{layer}"),
            facts=dataclasses.replace(facts, mean=mean),
        )
        for layer, level, mean in values
    ]


def test_nothing_comes_from_outside(page: str) -> None:
    without_images = re.sub(r'src="data:image/png;base64,[^"]*"', "", page)
    assert not re.search(r"https?:|src=|<script|<link|@import|url\(", without_images)


def test_every_picture_is_a_png_and_says_what_it_shows(page: str) -> None:
    images = [attributes for tag, attributes in Page(page).tags if tag == "img"]
    shown = sum(min(8, len(point.latents)) for point in halves().points)
    assert len(images) == 1 + len(halves().points) + shown  # the query, freedom, samples
    for attributes in images:
        assert attributes["alt"]
        content = base64.b64decode((attributes["src"] or "").removeprefix("data:image/png;base64,"))
        assert Image.open(io.BytesIO(content)).format == "PNG"


def test_names_and_the_command_are_escaped(page: str) -> None:
    assert "small <net>" not in page
    assert "small &lt;net&gt;, layers by levels, seed 3" in page
    assert "egbas path --model 'small <net>'" in Page(page).text


def test_levels_and_layers_head_their_columns_and_rows(page: str) -> None:
    text = " ".join(Page(page).text.split())
    for level in (1, 5):
        assert f"level {level}error at most {error_of(level):.2g}" in text
    assert "layer 0 " in text  # a path
    assert "layer 1 (1) " in text  # a number and its path


def test_every_point_has_a_line_in_the_table() -> None:
    lines = table_of(halves())
    assert [line[:2] for line in lines] == [[".0", "1"], [".0", "5"], ["1", "1"], ["1", "5"]]
    assert all(len(line) == len(HEADINGS) for line in lines)
    for point, line in zip(halves().points, lines, strict=True):
        row = dict(zip(HEADINGS, line, strict=True))
        assert row["units"] == str(len(point.beropt.units))
        assert row["error"] == f"{point.beropt.fidelity:.3f}"
        assert point.facts is not None
        assert row["freedom"].startswith(f"{point.facts.mean:.2f} [")
        assert row["distance"].split()[2] == f"{point.facts.distance.q95:.2f}"
        assert row[""] == point.facts.words


def test_the_table_stands_on_the_page(page: str) -> None:
    text = Page(page).text
    assert all(value in text for line in table_of(halves()) for value in line)


def test_a_set_without_units_has_a_mass_of_one() -> None:
    empty, full = table_of(backdrop())
    assert dict(zip(HEADINGS, empty, strict=True)) | {"freedom": "", "distance": "", "": ""} == {
        **dict.fromkeys(HEADINGS, ""),
        **{"layer": "1", "level": "5", "units": "0", "error": "0.094", "log10 mass": "0.0 [0.0, 0.0]"},
        "weight": empty[4],
    }
    assert full[5].startswith("-0.3 [")
    page = render_path(backdrop())
    assert "0 units, mass 1" in Page(page).text


def test_what_is_not_known_is_left_empty() -> None:
    point = halves().points[0]
    assert point.run is not None
    unknown = dataclasses.replace(point, facts=None, run=dataclasses.replace(point.run, mass=None, facts=None))
    alone = dataclasses.replace(halves(), points=(unknown,))
    (line,) = table_of(alone)
    row = dict(zip(HEADINGS, line, strict=True))
    assert [row[name] for name in ("log10 mass", "freedom", "distance", "")] == [""] * 4
    assert "units, mass" not in Page(render_path(alone)).text
    assert "freedom" not in tensors_of(alone)
    figure_of(alone)


def test_chains_that_did_not_converge_are_marked() -> None:
    point = halves().points[0]
    assert point.run is not None and point.run.exact is not None
    for status, is_marked in ((NOT_CONVERGED, True), ("CONVERGED", False)):
        exact = dataclasses.replace(point.run.exact, status=status)
        run = dataclasses.replace(point.run, samples={"prior": exact})
        alone = dataclasses.replace(halves(), points=(dataclasses.replace(point, run=run),))
        assert ("NOT CONVERGED: R-hat" in render_path(alone)) == is_marked
        assert table_of(alone)[0][8].endswith("!") == is_marked


@pytest.mark.parametrize(
    ("points", "sentences"),
    [
        (
            [(1, 1, 0.9), (1, 5, 0.5), (2, 1, 0.6), (2, 5, 0.2)],
            "Freedom goes from 0.60 to 0.90 at level 1 to 0.20 to 0.50 at level 5. "
            "At every level deeper layers hold more.",
        ),
        (
            [(1, 1, 0.5), (1, 5, 0.6), (2, 1, 0.6), (2, 5, 0.2)],
            "Freedom goes from 0.50 to 0.60 at level 1 to 0.20 to 0.60 at level 5. "
            "It does not fall at every step at relu1. Each deeper layer holds more at 1 of 2 levels.",
        ),
        ([(1, 1, 0.9), (1, 5, 0.5)], "Freedom goes from 0.90 at level 1 to 0.50 at level 5."),
        ([(1, 1, 0.5), (1, 5, 0.51)], "Freedom goes from 0.50 at level 1 to 0.51 at level 5."),  # no more than noise
        ([(1, 1, 0.9), (2, 1, 0.5)], "At every level deeper layers hold more."),
        ([(1, 1, 0.9)], ""),
    ],
)
def test_the_reading_in_sentences(points: list[tuple[int, int, float]], sentences: str) -> None:
    assert reading(with_freedom(*points)) == sentences


def test_without_facts_there_is_nothing_to_read() -> None:
    facts: Facts | None = None
    assert reading([dataclasses.replace(halves().points[0], facts=facts)]) == ""


def test_the_figure_has_a_cell_for_each_point() -> None:
    figure = figure_of(halves())
    figure.canvas.draw()
    captions = [axes.get_xlabel() for part in figure.subfigs for axes in part.axes if axes.get_xlabel()]
    assert len(captions) == len(halves().points)
    for caption, point in zip(captions, halves().points, strict=True):
        assert point.facts is not None and point.run is not None and point.run.exact is not None
        distance = f"distance {point.facts.distance.q50:.2f}"
        assert caption.startswith(f"{len(point.beropt.units)} units, freedom {point.facts.mean:.2f}, {distance}")
        assert ("R-hat" in caption) != point.run.exact.has_converged


def test_the_tensors_of_every_point() -> None:
    tensors = tensors_of(halves())
    assert torch.equal(tensors["query"], HALVES_QUERY)
    for point in halves().points:
        place = f"{point.layer.key}/{point.level}"  # the module 2 is .2: the layer 2 is another
        assert torch.equal(tensors[f"{place}/units"], point.beropt.units)
        assert torch.equal(tensors[f"{place}/latents"], point.latents)
        assert len(tensors[f"{place}/chain"]) == len(point.latents)
        assert tensors[f"{place}/freedom"].shape == (1, 2, 4)
    assert "1/5/chain" not in tensors_of(backdrop()) and "1/8/chain" in tensors_of(backdrop())
