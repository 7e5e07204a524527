# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
from torch import nn

from egbas.errors import RunDirectoryError
from egbas.evaluation.exact_methods import EXACT_METHODS, ExactSettings
from egbas.exploration.result import Exploration
from egbas.reproduce import judged as judging
from egbas.reproduce.judged import Judges
from egbas.reproduce.measurement import measure
from egbas.reproduce.shared_runs import Explored
from egbas.reproduce.table1 import TABLE, as_table
from egbas.reproduce.tables import exact_table
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.storage import Store
from egbas.storage.store import SCORES
from tests.runs import QUICK, plane_run

NOBODY = Judges(discriminator=None, classifier=None)


def unasked() -> Exploration:
    raise AssertionError("the scores are there, and the exploration is asked for")


def test_a_query_is_judged_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert NOBODY.found(store, "task", "m") is None
    made = NOBODY.judged(store, "task", plane_run, "m")
    again = NOBODY.judged(store, "task", unasked, "m")
    assert made == again == NOBODY.found(store, "task", "m")
    assert {score.method for score in made.scores} >= {"E-GBAS"}
    assert made.facts == {"geometry": {"used": "flat", "asked": "auto"}, "unconverged": []}
    assert list(made.warnings) == list(plane_run().warnings)


def test_another_task_other_judges_and_exact_rows_are_not_it() -> None:
    judges = [NOBODY, Judges(discriminator=nn.Linear(2, 1), classifier=None)]
    judges += [Judges(discriminator=None, classifier=None, exact=ExactSettings(samples=n)) for n in (5, 6)]
    told = [repr(one.decides(task)) for one in judges for task in ("a", "b")]
    assert len(set(told)) == 8


def test_a_file_that_moved_has_the_name_that_is_asked_for(tmp_path: Path) -> None:
    NOBODY.judged(Store(tmp_path), "task", plane_run, "/x/a/g.pt")
    found = NOBODY.found(Store(tmp_path), "task", "/y/b/g.pt")
    assert found is not None and {score.model for score in found.scores} == {"/y/b/g.pt"}


def test_without_a_store_nothing_is_kept() -> None:
    calls: list[int] = []

    def explored() -> Exploration:
        calls.append(1)
        return plane_run()

    assert NOBODY.judged(None, "task", explored, "m") == NOBODY.judged(None, "task", explored, "m")
    assert (NOBODY.found(None, "task", "m"), len(calls)) == (None, 2)


def test_damage_is_told(tmp_path: Path) -> None:
    NOBODY.judged(Store(tmp_path), "task", plane_run, "m")
    (file,) = tmp_path.glob("scores/*/content.json")
    file.write_text("{")
    with pytest.raises(RunDirectoryError, match="is damaged"):
        NOBODY.found(Store(tmp_path), "task", "m")


def quick(store: Path | None = None) -> Explored:
    return Explored(beropt=QUICK, gbrrt=GbRrtConfig(iterations=200), store=None if store is None else Store(store))


def test_a_measurement_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure(("dcgan-mnist-2d",), (1,), 3, quick())
    original, judged = judging.evaluate, []

    def stopping(run, *words, **options):  # type: ignore[no-untyped-def]
        if len(judged) == 2:
            raise KeyboardInterrupt
        judged.append(run.seed)
        return original(run, *words, **options)

    monkeypatch.setattr(judging, "evaluate", stopping)
    with pytest.raises(KeyboardInterrupt):
        measure(("dcgan-mnist-2d",), (1,), 3, quick(tmp_path))
    assert len(list(Store(tmp_path, SCORES).keys())) == 2
    judged.clear()
    rest = measure(("dcgan-mnist-2d",), (1,), 3, quick(tmp_path))
    assert judged == [2]
    assert rest.config["finished_before"] == 2
    assert rest.scores == whole.scores
    judged.clear()
    again = measure(("dcgan-mnist-2d",), (1,), 3, quick(tmp_path))
    assert (judged, again.config["finished_before"], again.scores) == ([], 3, whole.scores)


def test_exact_rows_stand_beside_the_others(tmp_path: Path) -> None:
    settings = ExactSettings(samples=20, max_evaluations=2000)
    measured = measure(("dcgan-mnist-2d",), (1,), 2, quick(tmp_path), exact=settings)
    content = TABLE.write(measured, tmp_path)
    rows = {row["method"]: row for row in content["rows"]}
    assert set(EXACT_METHODS) <= set(rows)
    assert all(rows[name].keys() == rows["E-GBAS"].keys() for name in EXACT_METHODS)
    ratios = {row["method"]: row for row in content["ratios"]}
    assert ratios["ball of equal mass"]["metric"] == "exact samples / baseline, deviation"
    assert ratios["ball of equal mass"]["paper"] is None
    quotient = rows["exact samples"]["mean"] / rows["ball of equal mass"]["mean"]
    assert ratios["ball of equal mass"]["mean"] == pytest.approx(quotient)
    assert len(as_table(content)[0]) == len(as_table({**content, "rows": content["rows"][:1]})[0])  # the paper's alone
    headings, lines = exact_table(content) or ([], [])
    (line,) = (dict(zip(headings, line, strict=True)) for line in lines)
    assert line["exact / ball of equal mass"].startswith(f"{quotient:.3f} [")
    assert line["random weights"] == f"{rows['random weights']['mean']:.4f}"
    assert (measured.config["exact"]["samples"], measured.config["exact"]["max_evaluations"]) == (20, 2000)
    # Without --exact these queries are others, and the rows of before are as they were.
    assert measure(("dcgan-mnist-2d",), (1,), 2, quick(tmp_path)).config["finished_before"] == 0
