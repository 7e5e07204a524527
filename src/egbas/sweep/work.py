# SPDX-License-Identifier: MIT
"""One task, one function: what every engine's worker does, and how its failure becomes a message."""

import time
import traceback

from egbas.errors import EgbasError, RunDirectoryError
from egbas.storage import Store
from egbas.storage.results import row_of_files, row_of_run
from egbas.sweep.task import FAILED, FINISHED, FOUND, Outcome, Task, Workshop

_PAUSE = 0.2  # seconds between two looks at what another driver works on


def work(workshop: Workshop, task: Task) -> Outcome:
    """Do a task, and hand its files over."""
    start = time.perf_counter()
    try:
        files = workshop.files(task)
        row = row_of_files(task.key, files)
    except Exception as error:  # one bad task never ends the others
        seconds = time.perf_counter() - start
        return Outcome(task=task, status=FAILED, seconds=seconds, message=told_error(error), is_open=True)
    return Outcome(task=task, status=FINISHED, seconds=time.perf_counter() - start, row=row, files=files)


def work_into(store: Store, workshop: Workshop, task: Task) -> Outcome:
    """Do a task, and write its directory into the store; wait where another driver is just doing it.

    Raises:
        RunDirectoryError: the disk is full, or the store cannot be written: no other task could be finished either.
    """
    while True:
        with store.claim(task.key) as granted:
            if granted:
                place = store.find(task.key)
                if place is not None:
                    return Outcome(task=task, status=FOUND, row=row_of_run(task.key, place))
                outcome = work(workshop, task)
                start = time.perf_counter()
                if outcome.files is None:
                    store.fail(task.key, {"task": task.told, "message": outcome.message})
                else:
                    store.finish(task.key, outcome.files)
                return Outcome(
                    task=task,
                    status=outcome.status,
                    seconds=outcome.seconds,
                    overhead=time.perf_counter() - start,
                    row=outcome.row,
                    message=outcome.message,
                )
        time.sleep(_PAUSE)


def told_error(error: BaseException) -> str:
    """What a failed task says: egbas's own message, or the error's last line and where it was raised."""
    if isinstance(error, EgbasError) and not isinstance(error, RunDirectoryError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory"
    line = " ".join(traceback.format_exception_only(error)[-1].split())
    frames = traceback.extract_tb(error.__traceback__)
    return f"{line} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else line
