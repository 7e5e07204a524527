# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest

from egbas.cli import workshop
from egbas.cli.cell import Cell, compared
from egbas.reproduce import judged as judging
from egbas.storage import Store
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
