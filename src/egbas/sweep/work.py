# SPDX-License-Identifier: MIT
"""One task, one function: what every engine's worker does, and how its failure becomes a message."""

import contextlib
import dataclasses
import time
import traceback

from egbas.errors import EgbasError, RunDirectoryError
from egbas.storage import Store
from egbas.storage.results import row_of_files, row_of_run
from egbas.sweep.task import BUSY, FAILED, FINISHED, FOUND, Outcome, Task, Workshop

_PAUSE = 0.2  # seconds between two looks at what another driver works on


def work(workshop: Workshop, task: Task) -> Outcome:
    """Do a task, and hand its files over."""
    start, cpu = time.perf_counter(), time.thread_time()
    row, files, message = None, None, ""
    try:
        files = workshop.files(task)
        row = row_of_files(task.key, files)
    except Exception as error:  # one bad task never ends the others
        message, files = told_error(error), None
    return Outcome(
        task=task,
        status=FAILED if files is None else FINISHED,
        seconds=time.perf_counter() - start,
        cpu=time.thread_time() - cpu,
        row=row,
        files=files,
        message=message,
        is_open=True,
    )


def begin(
    store: Store, workshop: Workshop, task: Task, *, is_patient: bool = True
) -> tuple[Outcome, contextlib.ExitStack]:
    """Do a task, unless it is done.

    Args:
        store: where the result goes.
        workshop: that does it.
        task: to do.
        is_patient: wait where another driver is just doing it; else it is ``"busy"``.

    Returns:
        The outcome, and the claim of the task, which ``end`` gives back.

    Raises:
        RunDirectoryError: the store cannot be written.
    """
    while True:
        with contextlib.ExitStack() as claim:
            if claim.enter_context(store.claim(task.key)):
                place = store.find(task.key)
                if place is None:
                    return work(workshop, task), claim.pop_all()
                return Outcome(task=task, status=FOUND, row=row_of_run(task.key, place)), claim.pop_all()
        if not is_patient:
            return Outcome(task=task, status=BUSY), contextlib.ExitStack()
        time.sleep(_PAUSE)


def end(store: Store, outcome: Outcome, claim: contextlib.ExitStack) -> Outcome:
    """Write the directory of a task into the store, or what it said where it failed, and give back its claim.

    Raises:
        RunDirectoryError: the disk is full, or the store cannot be written: no other task could be finished either.
    """
    start, cpu = time.perf_counter(), time.thread_time()
    with claim:
        if outcome.files is not None:
            store.finish(outcome.task.key, outcome.files)
        elif outcome.status == FAILED:
            store.fail(outcome.task.key, {"task": outcome.task.told, "message": outcome.message})
    return dataclasses.replace(
        outcome,
        files=None,
        is_open=False,
        overhead=time.perf_counter() - start,
        overhead_cpu=time.thread_time() - cpu,
    )


def work_into(store: Store, workshop: Workshop, task: Task) -> Outcome:
    """Do a task, and write its directory into the store.

    Raises:
        RunDirectoryError: as ``end`` does.
    """
    return end(store, *begin(store, workshop, task))


def told_error(error: BaseException) -> str:
    """What a failed task says: egbas's own message, or the error's last line and where it was raised."""
    if isinstance(error, EgbasError) and not isinstance(error, RunDirectoryError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory"
    line = " ".join(traceback.format_exception_only(error)[-1].split())
    frames = traceback.extract_tb(error.__traceback__)
    return f"{line} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else line
