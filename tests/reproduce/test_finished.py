# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest

from egbas.evaluation.comparison import Score
from egbas.evaluation.exact_methods import EXACT_METHODS, ExactSettings
from egbas.reproduce import measurement
from egbas.reproduce.finished import FOLDER, Finished, Measured
from egbas.reproduce.measurement import measure
from egbas.reproduce.shared_runs import Explored
from egbas.reproduce.table1 import TABLE, as_table
from egbas.samplers.gbrrt import GbRrtConfig
from tests.runs import QUICK

SCORE = Score(model="m", layer=1, query=3, method="E-GBAS", metric="deviation", value=1 / 3)
MEASURED = Measured(scores=[SCORE], facts={"geometry": {"used": "flat"}, "unconverged": []})


def quick() -> Explored:
    return Explored(beropt=QUICK, gbrrt=GbRrtConfig(iterations=200))


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    store = Finished(tmp_path, {"a": 1})
    assert store.of("m", "abc", 1, 3) is None
    store.keep("m", "abc", 1, 3, MEASURED)
    assert store.of("m", "abc", 1, 3) == MEASURED


@pytest.mark.parametrize(
    ("sha256", "layer", "seed", "settings"),
    [("abd", 1, 3, {"a": 1}), ("abc", 2, 3, {"a": 1}), ("abc", 1, 4, {"a": 1}), ("abc", 1, 3, {"a": 2})],
)
def test_another_task_is_not_it(tmp_path: Path, sha256: str, layer: int, seed: int, settings: dict[str, int]) -> None:
    Finished(tmp_path, {"a": 1}).keep("m", "abc", 1, 3, MEASURED)
    assert Finished(tmp_path, settings).of("m", sha256, layer, seed) is None


def test_a_file_that_moved_has_the_name_that_is_asked_for(tmp_path: Path) -> None:
    store = Finished(tmp_path, {})
    store.keep("/x/a/g.pt", "abc", 1, 3, MEASURED)
    (score,) = store.of("/y/b/g.pt", "abc", 1, 3).scores
    assert score.model == "/y/b/g.pt"


@pytest.mark.parametrize(
    "content",
    ['{"scores": [], "facts": {}}', "", "{", "[]", '{"scores": [{"model": 3}], "facts": {}}', '{"facts": {}}'],
)
def test_a_damaged_file_is_measured_again(tmp_path: Path, content: str) -> None:
    store = Finished(tmp_path, {})
    store.keep("m", "abc", 1, 3, MEASURED)
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    assert store.of("m", "abc", 1, 3) is None


def test_without_a_folder_nothing_is_kept() -> None:
    store = Finished(None, {})
    store.keep("m", "abc", 1, 3, MEASURED)
    assert store.of("m", "abc", 1, 3) is None


def test_a_measurement_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure(("dcgan-mnist-2d",), (1,), 3, quick())
    original, judged = measurement.evaluate, []

    def stopping(run, *words, **options):  # type: ignore[no-untyped-def]
        if len(judged) == 2:
            raise KeyboardInterrupt
        judged.append(run.seed)
        return original(run, *words, **options)

    monkeypatch.setattr(measurement, "evaluate", stopping)
    with pytest.raises(KeyboardInterrupt):
        measure(("dcgan-mnist-2d",), (1,), 3, quick(), out=tmp_path)
    assert len(list((tmp_path / FOLDER).iterdir())) == 2
    judged.clear()
    rest = measure(("dcgan-mnist-2d",), (1,), 3, quick(), out=tmp_path)
    assert judged == [2]
    assert rest.config["finished_before"] == 2
    assert rest.scores == whole.scores
    judged.clear()
    again = measure(("dcgan-mnist-2d",), (1,), 3, quick(), out=tmp_path)
    assert (judged, again.config["finished_before"], again.scores) == ([], 3, whole.scores)


def test_exact_rows_stand_beside_the_others(tmp_path: Path) -> None:
    settings = ExactSettings(samples=20, max_evaluations=5000)
    measured = measure(("dcgan-mnist-2d",), (1,), 2, quick(), exact=settings, out=tmp_path)
    content = TABLE.write(measured, tmp_path)
    rows = {row["method"]: row for row in content["rows"]}
    assert set(EXACT_METHODS) <= set(rows)
    assert all(rows[name].keys() == rows["E-GBAS"].keys() for name in EXACT_METHODS)
    ratios = {row["method"]: row for row in content["ratios"]}
    assert ratios["ball of equal mass"]["metric"] == "exact samples / baseline, deviation"
    assert ratios["ball of equal mass"]["paper"] is None
    quotient = rows["exact samples"]["mean"] / rows["ball of equal mass"]["mean"]
    assert ratios["ball of equal mass"]["mean"] == pytest.approx(quotient)
    headings, lines = as_table(content)
    assert len(lines[0]) == len(headings)
    assert "exact / ball of equal mass" in headings
    assert measured.config["exact"] == {"samples": 20, "max_evaluations": 5000}
    # Without --exact these queries are others, and the rows of before are as they were.
    assert measure(("dcgan-mnist-2d",), (1,), 2, quick(), out=tmp_path).config["finished_before"] == 0
