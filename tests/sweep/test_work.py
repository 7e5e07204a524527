# SPDX-License-Identifier: MIT
import threading
import time
from pathlib import Path

import pytest

from egbas.errors import ConfigError, RunDirectoryError
from egbas.storage import Store
from egbas.sweep.task import BUSY, FAILED, FINISHED, FOUND
from egbas.sweep.work import begin, end, told_error, work, work_into
from tests.workshops import Quick, begun, plan_of

(TASK,) = plan_of([3])


def test_a_task_becomes_files_and_a_row(tmp_path: Path) -> None:
    outcome = work(Quick(log=str(tmp_path / "log")), TASK)
    assert (outcome.status, outcome.is_open, outcome.message) == (FINISHED, True, "")
    assert outcome.files is not None and outcome.row is not None
    assert outcome.files.keys() == {"config.json", "metrics.json"}
    assert (outcome.row["task"], outcome.row["fidelity"]) == (TASK.key, 3 / 7)
    assert outcome.seconds > 0


def test_a_bad_task_becomes_a_message(tmp_path: Path) -> None:
    outcome = work(Quick(log=str(tmp_path / "log"), failing=[3]), TASK)
    assert (outcome.status, outcome.files, outcome.row) == (FAILED, None, None)
    assert outcome.message.startswith("ValueError: seed 3 is bad (") and "workshops.py, line" in outcome.message


def test_work_into_a_store_is_done_once(tmp_path: Path) -> None:
    store, shop = Store(tmp_path / "store"), Quick(log=str(tmp_path / "log"))
    first, second = (work_into(store, shop, TASK) for _ in range(2))
    assert (first.status, second.status) == (FINISHED, FOUND)
    assert begun(tmp_path / "log") == [3]
    assert first.row == second.row and first.files is None
    with store.claim(TASK.key) as granted:
        assert granted


def test_a_failure_is_kept_in_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    outcome = work_into(store, Quick(log=str(tmp_path / "log"), failing=[3]), TASK)
    assert outcome.status == FAILED and not outcome.is_open
    assert store.failure(TASK.key) == {"task": TASK.told, "message": outcome.message}


def test_what_another_driver_works_on_is_waited_for(tmp_path: Path) -> None:
    slow, results = Quick(log=str(tmp_path / "log"), seconds=0.3), []
    threads = [
        threading.Thread(target=lambda: results.append(work_into(Store(tmp_path / "store"), slow, TASK).status))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert sorted(results) == [FINISHED, FOUND]
    assert begun(tmp_path / "log") == [3]


def test_without_patience_it_is_told_that_another_driver_works_on_it(tmp_path: Path) -> None:
    store, shop = Store(tmp_path / "store"), Quick(log=str(tmp_path / "log"))
    with Store(tmp_path / "store").claim(TASK.key):
        outcome, _ = begin(store, shop, TASK, is_patient=False)
    assert outcome.status == BUSY and begun(tmp_path / "log") == []
    outcome, claim = begin(store, shop, TASK, is_patient=False)
    assert end(store, outcome, claim).status == FINISHED


def test_a_store_that_cannot_be_written_ends_all(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(RunDirectoryError):
        work_into(Store(tmp_path / "store"), Quick(log=str(tmp_path / "log")), TASK)


def test_messages() -> None:
    assert told_error(ConfigError("a setting is off")) == "a setting is off"
    assert told_error(MemoryError()) == "out of memory"
    assert told_error(RuntimeError("two\nlines")) == "RuntimeError: two lines"
