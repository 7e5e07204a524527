# SPDX-License-Identifier: MIT
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from egbas.errors import EgbasError, RunDirectoryError
from egbas.machine.threads import idle_cores, work_beside
from egbas.storage import Store
from egbas.sweep import local
from egbas.sweep.local import FirstOf, LocalEngine, default_workers, settle_worker
from egbas.sweep.task import FAILED, FINISHED
from tests.workshops import Quick, begun, plan_of


def test_workers_that_die_and_tasks_that_fail_end_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "ATTEMPTS", 2)  # each death takes the seconds in which a process imports torch
    shop = Quick(log=str(tmp_path / "log"), failing=[1], deadly=[3])
    store = Store(tmp_path / "sweep")
    engine = LocalEngine(shop, store, 1)
    first, *_ = plan_of(range(6))
    outcomes = {}
    with Store(store.path).claim(first.key):  # another driver is at work on it, and dies
        running = engine.run(plan_of(range(6)))
        while len(outcomes) < 5:
            outcome = next(running)
            outcomes[outcome.task.seed] = outcome
        assert 0 not in outcomes
    outcomes |= {outcome.task.seed: outcome for outcome in running}
    assert sorted(outcomes) == list(range(6))
    assert {seed for seed, outcome in outcomes.items() if outcome.status == FAILED} == {1, 3}
    assert "seed 1 is bad" in outcomes[1].message
    assert outcomes[3].message == "2 workers died at it (signal 9, as where memory runs out)"
    assert engine.deaths == 2
    counts = {seed: begun(tmp_path / "log").count(seed) for seed in range(6)}
    assert counts[3] == 2  # begun again once
    # A death loses the task that is worked on, and at most the one before it, which is just being written.
    assert all(count == 1 for seed, count in counts.items() if seed not in (2, 3))
    assert len(list(store.keys())) == 4 and len(list(store.failures())) == 2
    assert not multiprocessing.active_children()


def drive_slowly(log: str, folder: str) -> None:
    engine = LocalEngine(Quick(log=log, seconds=30.0), Store(folder), 1)
    list(engine.run(plan_of([0])))


@pytest.mark.slow
def test_workers_die_with_their_driver(tmp_path: Path) -> None:
    driver = multiprocessing.get_context("spawn").Process(
        target=drive_slowly, args=(str(tmp_path / "log"), str(tmp_path / "sweep"))
    )
    driver.start()
    until(lambda: begun(tmp_path / "log") == [0])
    assert driver.pid is not None
    os.kill(driver.pid, signal.SIGKILL)
    driver.join()
    (task,) = plan_of([0])
    store = Store(tmp_path / "sweep")

    def is_free() -> bool:  # the worker held it
        with store.claim(task.key) as granted:
            return granted

    until(is_free)
    assert store.find(task.key) is None and not list((tmp_path / "sweep" / "tasks").iterdir())


def until(holds: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def broken(number: int) -> Quick:
    raise ValueError(f"worker {number} finds no network")


def test_a_worker_that_cannot_begin_is_told(tmp_path: Path) -> None:
    with pytest.raises(EgbasError, match="cannot be made ready: ValueError: worker 0 finds no network"):
        list(LocalEngine(broken, Store(tmp_path), 1).run(plan_of([0])))


@pytest.mark.slow
def test_a_store_that_cannot_be_written_ends_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "sweep").touch()
    engine = LocalEngine(Quick(log=str(tmp_path / "log")), Store(tmp_path / "sweep"), 1)
    with pytest.raises(RunDirectoryError, match="was not written"):
        list(engine.run(plan_of(range(3))))


def test_what_is_done_again_comes_first() -> None:
    first, second, third = plan_of(range(3))
    from collections import deque

    again = deque([first])
    tasks = FirstOf(again, iter([second]))
    assert list(iter(tasks)) == [first, second]
    again.append(third)
    assert list(tasks) == [third]


def test_a_worker_has_one_core() -> None:
    before = torch.get_num_threads()
    try:
        settle_worker(1, 1)
        assert (torch.get_num_threads(), idle_cores()) == (1, 1)
    finally:
        torch.set_num_threads(before)
        work_beside(1)


def test_workers_where_none_are_asked_for() -> None:
    assert default_workers("cpu") == len(os.sched_getaffinity(0))
    assert default_workers("cuda") == max(1, torch.cuda.device_count())
    assert FINISHED == "finished"
