# SPDX-License-Identifier: MIT
import itertools
import tracemalloc
from pathlib import Path

import pytest

from egbas.storage import Store
from egbas.sweep.plan import DONE, FAILED, OPEN, Part, Plan, Spans
from tests.workshops import plan_of

PART = Part(model="a", layers={1: "relu1", "x": "block.x"}, levels=[2, 4], decides={"network": "n"})


def test_models_by_layers_by_levels_by_queries() -> None:
    plan = Plan(parts=[PART, Part(model="b", layers={3: "r"}, levels=[None], decides={})], seeds=range(3))
    tasks = list(plan)
    assert len(plan) == len(tasks) == 2 * 2 * 3 + 3
    assert [(task.layer, task.level, task.seed) for task in tasks[:12]] == list(
        itertools.product([1, "x"], [2, 4], range(3))
    )
    assert {task.model for task in tasks[12:]} == {"b"}
    assert len({task.key for task in tasks}) == len(tasks)
    assert tasks[0].told == "a, layer 1, level 2, seed 0"
    assert tasks[-1].told == "b, layer 3, seed 2"


def test_rows_of_a_file_by_seeds() -> None:
    part = Part(model="a", layers={1: "r"}, levels=[6], decides={}, rows=["k0", "k1"])
    plan = Plan(parts=[part], seeds=[5, 9])
    assert [(task.row, task.seed) for task in plan] == [(0, 5), (0, 9), (1, 5), (1, 9)]
    assert len(plan) == 4 == len({task.key for task in plan})
    moved = Part(model="a", layers={1: "r"}, levels=[6], decides={}, rows=["k1", "k0"])
    assert part.task(1, 6, 5, 0).key == moved.task(1, 6, 5, 1).key  # what it is counts, not where it stands


@pytest.mark.parametrize(
    "other",
    [
        PART.task(1, 2, 8),
        PART.task(1, 4, 7),
        PART.task("x", 2, 7),
        Part(model="a", layers={1: "relu1"}, levels=[2], decides={"network": "o"}).task(1, 2, 7),
        Part(model="a", layers={1: "relu1"}, levels=[2], decides={"network": "n", "new": 1}).task(1, 2, 7),
    ],
)
def test_what_decides_tells_tasks_apart(other: object) -> None:
    assert PART.task(1, 2, 7).key != other.key  # type: ignore[attr-defined]


def test_what_a_model_or_layer_is_called_does_not() -> None:
    renamed = Part(model="z", layers={"relu1": "relu1"}, levels=[2], decides={"network": "n"})
    assert PART.task(1, 2, 7).key == renamed.task("relu1", 2, 7).key


def test_status(tmp_path: Path) -> None:
    plan, store = plan_of(range(3)), Store(tmp_path)
    tasks = list(plan)
    store.finish(tasks[0].key, {})
    store.fail(tasks[1].key, {"message": "m"})
    assert [plan.status(store, task) for task in tasks] == [DONE, FAILED, OPEN]


def test_spans_are_numbers_without_a_list() -> None:
    spans = Spans([range(0, 3), range(7, 8), range(10, 12)])
    assert list(spans) == [0, 1, 2, 7, 10, 11]
    assert (len(spans), spans[0], spans[3], spans[-1], spans[1:4]) == (6, 0, 7, 11, [1, 2, 7])
    assert 7 in spans and 5 not in spans
    for place in (6, -7):
        with pytest.raises(IndexError):
            spans[place]


def test_a_million_tasks_take_no_memory() -> None:
    plan = Plan(parts=[PART], seeds=Spans([range(10**7)]))
    tracemalloc.start()
    assert len(plan) == 4 * 10**7
    for _ in itertools.islice(plan, 2000):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
