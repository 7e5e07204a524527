# SPDX-License-Identifier: MIT
import json
from functools import partial
from pathlib import Path

import pytest
import torch

from egbas.reproduce import figures, paper, shared_runs
from egbas.samplers.gbrrt import GbRrtConfig
from tests.runs import QUICK
from tests.zoo.formats.test_gandissect import layout

FIGURES = ("figure3", "figure7")


@pytest.fixture
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "FIGURES", {name: figures.FIGURES[name] for name in FIGURES})


@pytest.mark.usefixtures("few_figures")
def test_all_that_a_model_without_a_plane_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    original = shared_runs.explore_many

    def spy(*words, rng, **options):  # type: ignore[no-untyped-def]
        seeds.extend(rng)
        return original(*words, rng=rng, **options)

    monkeypatch.setattr(shared_runs, "explore_many", spy)
    few = partial(shared_runs.Explored, beropt=QUICK, gbrrt=GbRrtConfig(iterations=100))
    monkeypatch.setattr(paper, "Explored", few)
    told: list[tuple[int, int, str]] = []
    content = paper.run(("dcgan-mnist",), 1, tmp_path, lambda *words: told.append(words), layers=(3,))
    assert [(row["name"], row["model"]) for row in content["made"]] == [
        ("table1", None),
        ("table2", None),
        ("figure7", "dcgan-mnist"),
    ]
    files = {name for row in content["made"] for name in row["files"]}
    assert files | {"all.json", "figure7.json"} == {path.name for path in tmp_path.iterdir()}
    assert json.loads((tmp_path / "all.json").read_text()) == content
    tables = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("table1", "table2")]
    assert tables[0]["config"] == tables[1]["config"]  # measured once for both
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][:2] == (13, 13)  # six queries, explored and looked at, and a figure
    assert seeds == [0, 1, 2, 3, 4, 5]  # the table's query once, for both
    headings, lines = paper.as_table(content)
    assert all(len(line) == len(headings) for line in lines)


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (("dcgan-mnist-2d",), {"figure3": "dcgan-mnist-2d", "figure7": "dcgan-mnist-2d"}),
        (("dcgan-mnist",), {"figure3": None, "figure7": "dcgan-mnist"}),
        (("dcgan-mnist-2d", "dcgan-mnist"), {"figure3": "dcgan-mnist-2d", "figure7": "dcgan-mnist"}),
    ],
)
def test_every_figure_has_the_model_that_it_can_be_drawn_of(
    models: tuple[str, ...], expected: dict[str, str | None]
) -> None:
    assert {name: paper._model_of(name, models) for name in FIGURES} == expected


def test_the_layers_of_a_pggan_file_are_drawn(tmp_path: Path) -> None:
    file = str(tmp_path / "g.pth")
    torch.save(layout((16, 32, 32, 16)), file)
    assert paper._model_of("figure6", (file,)) == file
    assert paper._model_of("figure6", ("dcgan-mnist",)) is None
