# SPDX-License-Identifier: MIT
"""The engine of a Ray cluster: an actor for each worker, which holds its networks and has a few tasks ahead.

Results come back through Ray's object store, and the driver writes them; or the actors write them themselves, where all
nodes see the folder of the sweep. A task that is cut off by the death of its worker or node is begun again elsewhere.
"""

import collections
import contextlib
import importlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from egbas.errors import EgbasError, MissingExtraError, RunDirectoryError
from egbas.storage import Store
from egbas.storage.results import row_of_run
from egbas.sweep.local import AHEAD, ATTEMPTS, FirstOf, settle_worker
from egbas.sweep.task import FAILED, FOUND, Opening, Outcome, Task
from egbas.sweep.work import told_error, work, work_into

_PATIENCE = 1.0  # seconds between two looks at tasks that another driver works on
_LONGEST_START = 600.0  # seconds without any worker


class RayEngine:
    """Workers on a Ray cluster."""

    def __init__(  # noqa: PLR0913
        self,
        opening: Opening,
        store: Store,
        n_workers: int | None = None,
        *,
        models: Mapping[str, Any] | None = None,
        threads: int = 1,
        address: str | None = None,
        device: str = "cpu",
        is_shared: bool = False,
    ) -> None:
        """Join a cluster: the one that Ray is connected to, the one at an address, or a new one on this machine.

        Args:
            opening: of the workshop of each worker, called with its number.
            store: where results go.
            n_workers: how many actors; None: one for each CPU of the cluster, or for each GPU.
            models: loaded ones, by name, which are sent to each node once; what is not there, a worker loads itself.
            threads: of torch, in each of them.
            address: of the cluster.
            device: ``"cuda"`` gives each worker a GPU.
            is_shared: all nodes see the folder of the store, and the workers write there themselves.

        Raises:
            MissingExtraError: Ray is not installed.
            EgbasError: the cluster cannot be reached.
        """
        self._ray = _ray()
        self._opening, self._store, self._threads, self._is_shared = opening, store, threads, is_shared
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            try:
                self._ray.init(address=address, log_to_driver=False, include_dashboard=False, configure_logging=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise EgbasError(f"no Ray cluster can be reached at {address or 'this machine'}: {error}") from error
        self._needs = {"num_gpus": 1, "num_cpus": 0} if device.startswith("cuda") else {"num_cpus": threads}
        kind, each = ("GPU", 1) if device.startswith("cuda") else ("CPU", threads)
        self.n_workers = n_workers or max(1, int(self._ray.cluster_resources().get(kind, 1) // each))
        self._models = None if models is None else self._ray.put(dict(models))
        self._attempts: dict[str, int] = {}
        self._claims: dict[str, contextlib.ExitStack] = {}
        self.deaths = self._stillborn = 0

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Do tasks; outcomes come in the order in which they are known. Few tasks are taken ahead of the work.

        Raises:
            RunDirectoryError: the disk is full, or the store cannot be written.
            EgbasError: no worker could be made ready.
        """
        source, again = iter(tasks), collections.deque[Task]()
        actors = [self._start(number) for number in range(self.n_workers)]
        try:
            yield from self._run(source, again, actors)
        finally:
            for actor in actors:
                self._ray.kill(actor.handle)
            for claim in self._claims.values():
                claim.close()
            self._claims.clear()
            if self._is_ours:
                self._ray.shutdown()

    def _run(
        self, source: Iterator[Task], again: "collections.deque[Task]", actors: "list[_Actor]"
    ) -> Iterator[Outcome]:
        elsewhere, last_worker = collections.deque[Task](), time.monotonic()
        tasks = FirstOf(again, source)
        while True:
            for actor in actors:
                self._feed(actor, tasks, elsewhere)
            yield from self._found(elsewhere)
            waiting = {actor.next_answer: actor for actor in actors if actor.next_answer is not None}
            if any(actor.is_ready for actor in actors) and not any(actor.given for actor in actors):
                if not elsewhere:
                    return
                again.extend(elsewhere)  # the other driver may have died
                elsewhere.clear()
                time.sleep(_PATIENCE)
            last_worker = self._check_patience(actors, last_worker)
            done, _ = self._ray.wait(list(waiting), num_returns=1, timeout=_PATIENCE) if waiting else ([], [])
            for answer in done:
                yield from self._take(waiting[answer], answer, actors, again)

    def _feed(self, actor: "_Actor", tasks: Iterator[Task], elsewhere: "collections.deque[Task]") -> None:
        """Give a worker tasks, but those that another driver works on."""
        while actor.is_ready and len(actor.given) < AHEAD and (task := next(tasks, None)) is not None:
            if self._claim(task):
                actor.give(task)
            else:
                elsewhere.append(task)

    def _found(self, elsewhere: "collections.deque[Task]") -> Iterator[Outcome]:
        """What another driver has finished meanwhile."""
        for _ in range(len(elsewhere)):
            task = elsewhere.popleft()
            place = self._store.find(task.key)
            if place is None:
                elsewhere.append(task)
            else:
                yield Outcome(task=task, status=FOUND, row=row_of_run(task.key, place))

    def _take(
        self, actor: "_Actor", answer: Any, actors: "list[_Actor]", again: "collections.deque[Task]"
    ) -> Iterator[Outcome]:
        try:
            outcome = self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            if isinstance(cause, RunDirectoryError):
                raise RunDirectoryError(str(cause)) from error
            raise EgbasError(f"a worker failed outside of its tasks: {told_error(cause)}") from error
        except self._ray.exceptions.RayError as error:  # the worker or its node has died, or the result with it
            actors[actors.index(actor)] = self._start(actor.number)
            yield from self._bury(actor, again, error)
            return
        if not actor.is_ready:
            actor.is_ready = True
            return
        task, _ = actor.given.popleft()
        self._attempts.pop(task.key, None)
        yield outcome
        self._release(task)  # the driver has written the result

    def _start(self, number: int) -> "_Actor":
        remote = self._ray.remote(_Worker)
        place = str(self._store.path) if self._is_shared else None
        handle = remote.options(scheduling_strategy="SPREAD", max_restarts=0, **self._needs).remote(
            self._opening, number, self._models, self._threads, self.n_workers, (place, _search_path())
        )
        return _Actor(number=number, handle=handle)

    def _bury(self, actor: "_Actor", again: "collections.deque[Task]", error: Exception) -> Iterator[Outcome]:
        """A worker has died: the task that it worked on is begun again, or has failed; the others are only moved."""
        self.deaths += 1
        with contextlib.suppress(Exception):
            self._ray.kill(actor.handle)
        self._stillborn = 0 if actor.is_ready else self._stillborn + 1
        if self._stillborn > ATTEMPTS * self.n_workers:
            raise EgbasError(f"workers end before they begin: {_first_line(error)}") from error
        running, *others = [task for task, _ in actor.given] or [None]
        for task in others:
            assert task is not None
            self._release(task)
            again.append(task)
        if running is None:
            return
        self._attempts[running.key] = self._attempts.get(running.key, 0) + 1
        self._release(running)
        if self._attempts[running.key] < ATTEMPTS:
            again.appendleft(running)
            return
        message = f"{ATTEMPTS} workers died at it ({_first_line(error)})"
        yield Outcome(task=running, status=FAILED, message=message, is_open=True)

    def _check_patience(self, actors: "list[_Actor]", last: float) -> float:
        if any(actor.is_ready for actor in actors):
            return time.monotonic()
        if time.monotonic() - last > _LONGEST_START:
            raise EgbasError(
                f"the cluster gave no worker within {_LONGEST_START / 60:.0f} minutes; it has "
                f"{self._ray.cluster_resources()}, and a worker needs {self._needs}"
            )
        return last

    def _claim(self, task: Task) -> bool:
        """Claim a task until its result is written; where workers write, they claim."""
        if self._is_shared:
            return True
        with contextlib.ExitStack() as stack:
            granted = stack.enter_context(self._store.claim(task.key))
            if granted and self._store.find(task.key) is None:
                self._claims[task.key] = stack.pop_all()
                return True
        return False

    def _release(self, task: Task) -> None:
        claim = self._claims.pop(task.key, None)
        if claim is not None:
            claim.close()


class _Actor:
    """A worker as the driver sees it."""

    def __init__(self, *, number: int, handle: Any) -> None:
        self.number, self.handle = number, handle
        self.given = collections.deque[tuple[Task, Any]]()
        self._ready, self.is_ready = handle.ready.remote(), False

    def give(self, task: Task) -> None:
        self.given.append((task, self.handle.work.remote(task)))

    @property
    def next_answer(self) -> Any:
        """What is known next of it; None where it has nothing to do."""
        if not self.is_ready:
            return self._ready
        return self.given[0][1] if self.given else None


class _Worker:
    """What lives in the actor's process."""

    def __init__(
        self,
        opening: Opening,
        number: int,
        models: Mapping[str, Any] | None,
        threads: int,
        n_workers: int,
        places: tuple[str | None, list[str]],
    ) -> None:
        store, search_path = places
        sys.path.extend(path for path in search_path if path not in sys.path)  # where the user's own network may lie
        settle_worker(threads, n_workers)
        self._store = None if store is None else Store(store)
        self._workshop: Any = opening(number)
        if models is not None:
            self._workshop.take(models)

    def ready(self) -> None:
        """Answer as soon as all is loaded."""

    def work(self, task: Task) -> Outcome:
        """Do a task."""
        if self._store is not None:
            return work_into(self._store, self._workshop, task)
        return work(self._workshop, task)


def _search_path() -> list[str]:
    return [str(Path(path).resolve()) for path in sys.path if path] + [str(Path.cwd())]


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtraError(
            f"--engine ray needs Ray, which is not installed ({error}); pip install 'egbas[ray]'"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
