# SPDX-License-Identifier: MIT
"""How long the stages of an exploration take, and how far they are."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from egbas.machine.memory import give_back_much

Progress = Callable[[str, int, int, str], None]
StageProgress = Callable[[int, int, str], None]


class Stopped(Exception):
    """Ends the work on a query when that on another has failed."""


class Clock:
    """Seconds of each stage for each query, and the progress callback with the stage's name in front."""

    def __init__(self, progress: Progress | None, n_queries: int) -> None:
        """Take the callback and the number of queries."""
        self._seconds: dict[str, float] = {}
        self._progress, self._n_queries = progress, n_queries
        self._door, self._done = threading.Lock(), dict[str, int]()

    @property
    def seconds(self) -> dict[str, float]:
        """Of each stage, for one query on average."""
        return {name: seconds / self._n_queries for name, seconds in self._seconds.items()}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage; what others have left behind of memory is given back first."""
        give_back_much()
        start = time.perf_counter()
        yield
        self._seconds[name] = time.perf_counter() - start

    def progress(self, name: str) -> StageProgress | None:
        """Progress of a stage over all queries."""
        return None if self._progress is None else partial(self._progress, name)

    def of_one(self, name: str, stop: threading.Event) -> StageProgress:
        """Progress of a stage of one query among others, maybe in a thread of its own, which it ends on ``stop``."""
        before = 0

        def tell(done: int, total: int, text: str) -> None:
            nonlocal before
            if stop.is_set():
                raise Stopped
            with self._door:
                done = max(done, before)  # a second start counts from zero
                self._done[name] = self._done.get(name, 0) + done - before
                before = done
                if self._progress is not None:
                    self._progress(name, self._done[name], self._n_queries * total, text)

        return tell
