# SPDX-License-Identifier: MIT
"""The driver of a sweep: what is done stays done, what is open goes to an engine, what comes of it into the table."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from egbas.storage import Store
from egbas.storage.results import TableWriter
from egbas.sweep.plan import DONE, OPEN, Plan
from egbas.sweep.plan import FAILED as FAILED_BEFORE
from egbas.sweep.task import FAILED, FINISHED, Outcome, Task

_RECENT = 200  # tasks that the rate is taken of


@runtime_checkable
class Engine(Protocol):
    """Does tasks, somewhere."""

    n_workers: int

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Do tasks, few of them taken ahead; outcomes come in the order in which they are known."""
        ...


@dataclass(kw_only=True)
class Counts:
    """How far a sweep is.

    Attributes:
        total: tasks of the plan.
        before: that were finished before.
        finished: that were finished now.
        elsewhere: that another driver finished meanwhile.
        failed: now, or before and not tried again.
        running: that are with the workers.
        work: seconds of the workers, for the tasks themselves.
        work_cpu: likewise, of a processor.
        overhead: seconds for the store, beside the work.
        overhead_cpu: likewise, of a processor.
        failures: the first few messages, by the task in words.
    """

    total: int
    before: int = 0
    finished: int = 0
    elsewhere: int = 0
    failed: int = 0
    running: int = 0
    work: float = 0.0
    work_cpu: float = 0.0
    overhead: float = 0.0
    overhead_cpu: float = 0.0
    failures: dict[str, str] = field(default_factory=dict[str, str])
    _times: deque[float] = field(default_factory=lambda: deque([time.monotonic()], maxlen=_RECENT), repr=False)

    @property
    def done(self) -> int:
        """All that are finished."""
        return self.before + self.finished + self.elsewhere

    @property
    def rate(self) -> float:
        """Tasks a second, of the last ones; 0 where none has been done yet."""
        seconds = time.monotonic() - self._times[0]
        return (len(self._times) - 1) / seconds if len(self._times) > 1 and seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Until all are done, at this rate; None where that is not known yet."""
        return (self.total - self.done - self.failed) / self.rate if self.rate else None

    def tick(self) -> None:
        """A task has been done."""
        self._times.append(time.monotonic())


SHOWN_FAILURES = 20


def drive(
    plan: Plan, store: Store, engine: Engine, *, retry: bool = False, tell: Callable[[Counts], None] | None = None
) -> Counts:
    """Do all tasks of a plan that are not done; those that failed before only where that is asked for.

    A task that fails is kept with its message, and the others go on.

    Args:
        plan: what to do.
        store: where results go.
        engine: who does it.
        retry: whether tasks that failed before are tried again.
        tell: called with the counts whenever they change.

    Returns:
        The counts in the end.

    Raises:
        RunDirectoryError: the disk is full, or the store cannot be written; what is finished stays.
        MissingExtraError: pyarrow is not installed.
    """
    table = TableWriter(store)
    store.sweep_up()
    counts = Counts(total=len(plan))

    def told() -> None:
        if tell is not None:
            tell(counts)

    def open_tasks() -> Iterator[Task]:
        for task in plan:
            status = plan.status(store, task)
            if status == DONE:
                counts.before += 1
            elif status == FAILED_BEFORE and not retry:
                _note(counts, task, (store.failure(task.key) or {}).get("message", ""))
            else:
                assert status in (OPEN, FAILED_BEFORE)
                counts.running += 1
                yield task

    try:
        for outcome in engine.run(open_tasks()):
            counts.running -= 1
            _take(counts, store, outcome)
            if outcome.row is not None:
                table.add(outcome.row)
            counts.tick()
            told()
    finally:
        table.flush()
    table.compact()
    told()
    return counts


def _take(counts: Counts, store: Store, outcome: Outcome) -> None:
    """Count an outcome, and write what its worker has not written."""
    counts.work += outcome.seconds
    counts.work_cpu += outcome.cpu
    counts.overhead += outcome.overhead
    counts.overhead_cpu += outcome.overhead_cpu
    if outcome.status == FAILED:
        if outcome.is_open:
            store.fail(outcome.task.key, {"task": outcome.task.told, "message": outcome.message})
        _note(counts, outcome.task, outcome.message)
        return
    if outcome.files is not None:
        start, cpu = time.perf_counter(), time.thread_time()
        store.finish(outcome.task.key, outcome.files)
        counts.overhead += time.perf_counter() - start
        counts.overhead_cpu += time.thread_time() - cpu
    if outcome.status == FINISHED:
        counts.finished += 1
    else:
        counts.elsewhere += 1


def _note(counts: Counts, task: Task, message: str) -> None:
    counts.failed += 1
    if len(counts.failures) < SHOWN_FAILURES:
        counts.failures[task.told] = message
