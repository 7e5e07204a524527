# SPDX-License-Identifier: MIT
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from egbas.errors import RunDirectoryError
from egbas.storage import Store, load_sweep
from egbas.sweep.drive import Counts, drive
from egbas.sweep.task import Outcome, Task
from egbas.sweep.work import work
from tests.workshops import Quick, begun, plan_of

pytest.importorskip("pyarrow", reason="needs the extra egbas[sweep]")


class Here:
    """An engine without processes, whose driver writes what comes of a task."""

    n_workers = 1

    def __init__(self, shop: Quick) -> None:
        self.shop, self.taken = shop, 0

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        for task in tasks:
            self.taken += 1
            yield work(self.shop, task)


def test_a_sweep_with_a_bad_task(tmp_path: Path) -> None:
    store, told = Store(tmp_path / "sweep"), []
    shop = Quick(log=str(tmp_path / "log"), failing=[2])
    counts = drive(plan_of(range(5)), store, Here(shop), tell=lambda counts: told.append((counts.done, counts.failed)))
    assert (counts.total, counts.done, counts.finished, counts.failed, counts.running) == (5, 4, 4, 1, 0)
    assert told[0] == (1, 0) and told[-1] == (4, 1)
    (message,) = counts.failures.values()
    assert "seed 2 is bad" in message
    found = load_sweep(store.path)
    assert sorted(row["seed"] for row in found.rows()) == [0, 1, 3, 4]
    assert list(found.failures.values()) == [message]


def test_what_is_done_is_not_done_again_and_failures_only_on_demand(tmp_path: Path) -> None:
    store, log = Store(tmp_path / "sweep"), tmp_path / "log"
    drive(plan_of(range(3)), store, Here(Quick(log=str(log), failing=[1])))
    again = drive(plan_of(range(4)), store, Here(Quick(log=str(log), failing=[1])))
    assert (again.before, again.finished, again.failed) == (2, 1, 1)
    assert "seed 1 is bad" in next(iter(again.failures.values()))
    assert begun(log) == [0, 1, 2, 3]
    healed = drive(plan_of(range(4)), store, Here(Quick(log=str(log))), retry=True)
    assert (healed.before, healed.finished, healed.failed) == (3, 1, 0)
    assert begun(log) == [0, 1, 2, 3, 1]
    assert load_sweep(store.path).failures == {}


def test_tasks_are_taken_lazily(tmp_path: Path) -> None:
    engine = Here(Quick(log=str(tmp_path / "log")))

    def stop(counts: Counts) -> None:
        if counts.finished == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(plan_of(range(10**6)), Store(tmp_path / "sweep"), engine, tell=stop)
    assert engine.taken == 2
    assert len(list(load_sweep(tmp_path / "sweep").rows())) == 2  # nothing finished is lost


def test_a_disk_that_is_full_ends_the_sweep_and_the_rest_is_done_later(tmp_path: Path) -> None:
    store, log = Store(tmp_path / "sweep"), tmp_path / "log"
    original, written = store.finish, []

    def finish(key: str, files: dict[str, bytes]) -> Path:
        if len(written) == 2:
            raise RunDirectoryError("the disk is full")
        written.append(key)
        return original(key, files)

    store.finish = finish  # type: ignore[method-assign]
    with pytest.raises(RunDirectoryError, match="full"):
        drive(plan_of(range(5)), store, Here(Quick(log=str(log))))
    counts = drive(plan_of(range(5)), Store(tmp_path / "sweep"), Here(Quick(log=str(log))))
    assert (counts.before, counts.finished) == (2, 3)


def test_rate_and_time_left() -> None:
    counts = Counts(total=10)
    assert (counts.rate, counts.seconds_left) == (0.0, None)
    counts.finished = 1
    counts.tick()
    assert counts.rate > 0
    assert counts.seconds_left == pytest.approx(9 / counts.rate, rel=0.5)
