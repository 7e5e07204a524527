# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import RunDirectoryError
from egbas.evaluation.exact_methods import EXACT_METHODS, ExactSettings
from egbas.exploration.result import Exploration
from egbas.reproduce import judged as judging
from egbas.reproduce.judged import Judges
from egbas.reproduce.measurement import measure
from egbas.reproduce.own_judges import OwnJudges
from egbas.reproduce.shared_runs import Explored
from egbas.reproduce.table1 import TABLE, as_table
from egbas.reproduce.tables import exact_table
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.storage import Store
from egbas.storage.store import SCORES
from egbas.zoo.models import load_model
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


class Elsewhere(nn.Module):
    """A judge whose code stands in another file: its checksum does not see which."""

    code = staticmethod(torch.relu)

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4, dtype=dtype))

    def forward(self, images: Tensor) -> Tensor:
        return self.code(images.flatten(1) @ torch.diag(self.scale))


def probes() -> Tensor:
    return torch.tensor([[[[1.0, -2.0], [3.0, -4.0]]]])


def unprobed() -> Tensor:
    raise AssertionError("egbas's own networks judge, and images are asked for")


@pytest.mark.parametrize("name", ["dcgan-mnist-2d", "pggan-mnist"])
def test_without_names_the_model_and_lenet_judge(name: str) -> None:
    model = load_model(name)
    found = Judges.of(model, unprobed, OwnJudges())
    assert found.discriminator is model.discriminator and type(found.classifier).__name__ == "LeNet"
    same = Judges(discriminator=model.discriminator, classifier=found.classifier)
    assert found.decides("task") == same.decides("task") and len(found.record) == 2
    assert Judges.of(model, unprobed, OwnJudges.named("lenet-mnist", None)).record == found.record


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("role", ["critic", "classifier"])
def test_judges_of_ones_own_are_told_apart_by_what_they_say(
    role: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = []
    for code in (torch.relu, torch.abs, torch.relu):
        monkeypatch.setattr(Elsewhere, "code", staticmethod(code))
        judges = Judges.of(load_model("dcgan-mnist-2d"), probes, OwnJudges(**{role: Elsewhere(dtype).eval()}))
        records.append(judges.record)
    assert records[0][:2] == records[1][:2]  # the checksums are the same
    assert records[0] == records[2] != records[1]
    own = judges.discriminator if role == "critic" else judges.classifier
    assert isinstance(own, Elsewhere)


def test_a_network_without_parts_judges_too() -> None:
    """A module that is empty is false where it is asked for its truth."""
    own = OwnJudges(critic=nn.Sequential().eval(), classifier=nn.Sequential().eval())
    found = Judges.of(load_model("dcgan-mnist-2d"), probes, own)
    assert (found.discriminator, found.classifier) == (own.critic, own.classifier)


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
