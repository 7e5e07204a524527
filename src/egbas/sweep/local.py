# SPDX-License-Identifier: MIT
"""The engine of this machine: a process for each core, or for each GPU, that is fed one task after another.

A worker holds its networks. It dies with its driver, however that ends. Where a worker dies, its task alone is begun
again by another one.
"""

import collections
import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from egbas.errors import EgbasError, RunDirectoryError
from egbas.machine.threads import n_cores, work_beside
from egbas.storage import Store
from egbas.sweep.task import BUSY, FAILED, Opening, Outcome, Task
from egbas.sweep.work import begin, end, told_error

AHEAD = 3  # tasks that a worker has been given: one that is written, one that it works on, and the next
ATTEMPTS = 3  # of a task whose worker dies
_BEGUN, _DONE, _FATAL, _BROKEN = "begun", "done", "fatal", "broken"
_PATIENCE = 1.0  # seconds between two looks at the workers
_PAUSE = 0.5  # seconds between two looks at what another driver works on


class LocalEngine:
    """Worker processes on this machine."""

    def __init__(self, opening: Opening, store: Store, n_workers: int, *, threads: int = 1) -> None:
        """Say how many workers there are; they are started by ``run``.

        Args:
            opening: of the workshop of each worker, called with its number.
            store: where results go.
            n_workers: how many processes.
            threads: of torch, in each of them.
        """
        self.n_workers = n_workers
        self._opening, self._store, self._threads = opening, store, threads
        self._attempts: dict[str, int] = {}
        self.deaths = self._stillborn = 0

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:  # noqa: C901, PLR0912  feed, listen, bury
        """Do tasks; outcomes come in the order in which they are known. Few tasks are taken ahead of the work.

        Raises:
            RunDirectoryError: the disk is full, or the store cannot be written.
            EgbasError: no worker could be made ready.
        """
        again, elsewhere = collections.deque[Task](), collections.deque[Task]()
        source = FirstOf(again, iter(tasks))
        workers = [self._start(number) for number in range(self.n_workers)]
        try:
            while True:
                for worker in workers:
                    while len(worker.given) < AHEAD and (task := next(source, None)) is not None:
                        worker.give(task)
                if not any(worker.given for worker in workers):
                    if not elsewhere:
                        return
                    time.sleep(_PAUSE)
                    again.extend(elsewhere)  # the other driver has finished, or has died
                    elsewhere.clear()
                    continue
                waiting: list[Any] = [worker.pipe for worker in workers]
                for ready in wait(waiting, timeout=_PATIENCE):
                    worker = next(worker for worker in workers if worker.pipe is ready)
                    try:
                        kind, content = worker.pipe.recv()
                    except (EOFError, OSError):
                        workers[workers.index(worker)] = self._start(worker.number)
                        yield from self._bury(worker, again)
                        continue
                    if kind == _FATAL:
                        raise RunDirectoryError(content)
                    if kind == _BROKEN:
                        raise EgbasError(f"a worker cannot be made ready: {content}")
                    if kind == _BEGUN:
                        worker.begun = content
                        continue
                    worker.given.popleft()
                    self._attempts.pop(content.task.key, None)
                    self._stillborn = 0
                    if content.status == BUSY:
                        elsewhere.append(content.task)
                    else:
                        yield content
        finally:
            for worker in workers:
                worker.stop()

    def _start(self, number: int) -> "_Worker":
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        settings = (theirs, self._opening, str(self._store.path), number, self.n_workers, self._threads)
        process = context.Process(target=_serve, args=settings, daemon=True, name=f"egbas-{number}")
        process.start()
        theirs.close()
        return _Worker(number=number, process=process, pipe=ours)

    def _bury(self, worker: "_Worker", again: "collections.deque[Task]") -> Iterator[Outcome]:
        """A worker has died: the task that it worked on is begun again, or has failed; the others are only moved."""
        worker.process.join()
        self.deaths += 1
        running = next((task for task in worker.given if task.key == worker.begun), None)
        again.extend(task for task in worker.given if task is not running)
        if running is None:
            self._stillborn += 1
            if self._stillborn > ATTEMPTS * self.n_workers:
                raise EgbasError(f"workers end before they begin ({_ending(worker.process)}); see what they printed")
            return
        self._attempts[running.key] = self._attempts.get(running.key, 0) + 1
        if self._attempts[running.key] < ATTEMPTS:
            again.appendleft(running)
            return
        message = f"{ATTEMPTS} workers died at it ({_ending(worker.process)})"
        self._store.fail(running.key, {"task": running.told, "message": message})
        yield Outcome(task=running, status=FAILED, message=message)


class FirstOf:
    """What is to be done again, and then what is new; asked again after it was empty, it may have something."""

    def __init__(self, again: "collections.deque[Task]", source: Iterator[Task]) -> None:
        """Take both."""
        self._again, self._source = again, source

    def __iter__(self) -> Iterator[Task]:
        """It is its own iterator."""
        return self

    def __next__(self) -> Task:
        """The next task."""
        return self._again.popleft() if self._again else next(self._source)


class _Worker:
    """A worker process as the driver sees it."""

    def __init__(self, *, number: int, process: BaseProcess, pipe: "Connection[Any, Any]") -> None:
        self.number, self.process, self.pipe = number, process, pipe
        self.given = collections.deque[Task]()
        self.begun = ""  # key of the task that it began last

    def give(self, task: Task) -> None:
        self.given.append(task)
        with contextlib.suppress(OSError):  # it has died: that is noticed where it is listened to
            self.pipe.send(task)

    def stop(self) -> None:
        self.pipe.close()
        if self.given:
            self.process.kill()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def default_workers(device: str) -> int:
    """One worker for each core of this machine, or for each GPU."""
    return max(1, torch.cuda.device_count()) if device.startswith("cuda") else n_cores()


def _ending(process: BaseProcess) -> str:
    code = process.exitcode or 0
    if code >= 0:
        return f"exit code {code}"
    hint = ", as where memory runs out" if -code == signal.SIGKILL else ""
    return f"signal {-code}{hint}"


def _serve(
    pipe: "Connection[Any, Any]", opening: Opening, store: str, number: int, n_workers: int, threads: int
) -> None:
    """What a worker does, from its first to its last breath."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the driver, which ends its workers
    inbox: queue.Queue[Task] = queue.Queue()
    threading.Thread(target=_listen, args=(pipe, inbox), daemon=True).start()
    settle_worker(threads, n_workers)
    finished, door = Store(store), threading.Lock()
    try:
        workshop = opening(number)
    except Exception as error:
        pipe.send((_BROKEN, told_error(error)))
        inbox.get()  # until the driver ends it
        return
    # A disk takes its time to say that a file is safe: the next task is begun meanwhile.
    with ThreadPoolExecutor(1) as writer:
        before = writer.submit(lambda: None)
        while True:
            task = inbox.get()
            with door:
                pipe.send((_BEGUN, task.key))
            try:
                outcome, claim = begin(finished, workshop, task, is_patient=False)
            except RunDirectoryError as error:
                with door:
                    pipe.send((_FATAL, str(error)))
                continue
            before.result()
            before = writer.submit(_end, pipe, door, finished, outcome, claim)


def _end(
    pipe: "Connection[Any, Any]", door: threading.Lock, store: Store, outcome: Outcome, claim: contextlib.ExitStack
) -> None:
    """Write what came of a task, and tell the driver."""
    try:
        message = (_DONE, end(store, outcome, claim))
    except RunDirectoryError as error:
        message = (_FATAL, str(error))
    with door:
        pipe.send(message)


def settle_worker(threads: int, n_workers: int) -> None:
    """Let a worker's process use so many threads of torch, and no other core than its own.

    Results do not depend on how many workers there are: each of them computes as if it had one core.
    """
    torch.set_num_threads(threads)
    work_beside(max(n_workers, n_cores()))


def _listen(pipe: "Connection[Any, Any]", inbox: "queue.Queue[Task]") -> None:
    """Take tasks in; where the driver is no more, end at once: nothing is then left half-written that could be seen."""
    while True:
        try:
            inbox.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(1)
