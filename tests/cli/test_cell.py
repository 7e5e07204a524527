# SPDX-License-Identifier: MIT
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from egbas.cli import workshop
from egbas.cli.cell import Cell, compared
from egbas.reproduce import judged as judging
from egbas.reproduce.judged import Judges
from egbas.reproduce.own_judges import OwnJudges
from egbas.storage import Store
from egbas.zoo.models import load_model
from tests.cli.test_workshop import shop


def silent(*_: object) -> None:
    pass


def test_queries_are_explored_and_judged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, one = Store(tmp_path / "store"), shop()
    few, more = (Cell(shop=one, layer=1, level=None, seeds=range(4, 4 + n), has_rows=False) for n in (1, 2))
    compared(few, store, tmp_path, silent)
    explored, judged = [], []
    original = judging.evaluate
    monkeypatch.setattr(judging, "evaluate", lambda *words, **named: judged.append(1) or original(*words, **named))
    explore = workshop.explore
    monkeypatch.setattr(workshop, "explore", lambda *words, **named: explored.append(1) or explore(*words, **named))
    comparison, content, first, galleries = compared(more, store, tmp_path, silent)
    assert (len(explored), len(judged)) == (1, 1)
    assert content["config"]["finished_before"] == 1
    fresh, whole, *_ = compared(more, None, tmp_path, silent)
    assert comparison.rows == fresh.rows and comparison.ratios == fresh.ratios
    assert content["scores"] == whole["scores"] and whole["config"]["finished_before"] == 0
    assert first.seed == 4 and set(galleries) == {"tree"}
    assert set(comparison.images) == set(fresh.images)


def test_scores_of_a_checkpoint_file_are_those_of_the_tables() -> None:
    one = shop()
    one.model = replace(one.model, discriminator=load_model("dcgan-mnist-2d").discriminator)  # as a file may bring one
    cell = Cell(shop=one, layer=1, level=None, seeds=[4], has_rows=False)
    assert one.model.discriminator is not None
    assert cell.judges.decides("task") == Judges(discriminator=one.model.discriminator, classifier=None).decides("task")
    one.model = replace(one.model, discriminator=nn.Sequential(nn.Flatten(), nn.Linear(784, 1)))
    assert Cell(shop=one, layer=1, level=None, seeds=[4], has_rows=False).judges.images is not None  # code elsewhere


def test_judges_that_are_named_are_where_the_generator_is() -> None:
    one, critic = shop(), nn.Sequential(nn.Flatten(), nn.Linear(16, 1), nn.ReLU()).eval()
    plain, named = (
        Cell(shop=one, layer=1, level=None, seeds=[4], has_rows=False, own=own)
        for own in (OwnJudges(), OwnJudges(critic=critic))
    )
    assert named.judges.discriminator is critic and critic[1].weight.device == one.network.device
    assert named.judges.images is not None and plain.judges.images is None
    assert plain.task(0).key == named.task(0).key and plain.key != named.key
    assert plain.judges.record == [None, None]
