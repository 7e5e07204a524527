# SPDX-License-Identifier: MIT
"""Work side by side on the cores that torch leaves idle.

Small networks are computed by one thread, for two would spend their time waiting for each other. Several queries have
a core each, and where there is one alone, several latents of it.
"""

import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

import torch

_PATIENCE = 0.2  # seconds

T = TypeVar("T")
R = TypeVar("R")

_SECONDS_A_THREAD = 0.8e-3  # that short work has to take for each thread, for its turn to pay
_this = threading.local()  # n_beside: threads that a thread works beside, itself counted


def idle_cores() -> int:
    """How many threads can each use as many cores as torch is set to; at least 1.

    A thread of ``side_by_side`` has its share of them.
    """
    return max(1, _n_cores() // torch.get_num_threads() // _n_beside())


def work_beside(n: int) -> None:
    """Let this thread count on its share of the cores alone, beside others that work likewise, in other processes.

    Args:
        n: how many there are, this one among them; at least 1.
    """
    _this.n_beside = n


def side_by_side(work: Callable[[T, threading.Event], R], items: Sequence[T], n_threads: int) -> list[R]:
    """Work on items in threads, and return the results in order.

    Args:
        work: called with an item, and an event that is set where the others have failed or were interrupted; it then
            returns as soon as it can, whatever it returns.
        items: to work on.
        n_threads: how many at once.
    """
    stop = threading.Event()
    if n_threads < 2 or len(items) < 2:
        return [work(item, stop) for item in items]
    n_threads = min(n_threads, len(items))
    with ThreadPoolExecutor(n_threads, initializer=_begin, initargs=(n_threads * _n_beside(),)) as threads:
        futures = [threads.submit(work, item, stop) for item in items]
        try:
            left = set(futures)
            while left:  # with a limit to each wait, so that Ctrl-C is noticed whichever thread it reaches
                ended, left = wait(left, timeout=_PATIENCE, return_when=FIRST_EXCEPTION)
                for future in ended:
                    future.result()  # raises what it raised, before any that stopped for it
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise


def at_once(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Short work on a few items, the first by this thread and each other by one that waits for it; results in order.

    Args:
        work: called with an item; not for long, for nothing stops it.
        items: to work on, at most as many as there are cores.
    """
    n_threads = torch.get_num_threads()

    def work_there(item: T) -> R:
        if torch.get_num_threads() != n_threads:  # each thread has its own
            torch.set_num_threads(n_threads)
        return work(item)

    others = [_submit(work_there, item) for item in items[1:]]
    results = [work(item) for item in items[:1]]
    for item, other in zip(items[1:], others, strict=True):
        results.append(work(item) if other is None else other.result())
    return results


def threads_worth(seconds: float) -> int:
    """How many threads to share short work among that takes so long in one; at least 1."""
    n_worth = int(seconds / _SECONDS_A_THREAD)
    return 1 if n_worth < 2 else min(n_worth, idle_cores())


def _submit(work: Callable[[T], R], item: T) -> Future[R] | None:
    """Hand work to a waiting thread; None where there is none."""
    if getattr(_this, "is_waiting", False):  # one of them itself, which might wait for itself
        return None
    try:
        return _waiting().submit(work, item)
    except RuntimeError:  # the process is about to end
        return None


def n_cores() -> int:
    """Cores that this process may use."""
    return _n_cores()


def _n_beside() -> int:
    return getattr(_this, "n_beside", 1)


def _begin(n_beside: int, is_waiting: bool = False) -> None:
    _this.n_beside, _this.is_waiting = n_beside, is_waiting


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _waiting() -> ThreadPoolExecutor:
    """Threads that live as long as the process: starting one takes as long as some latents."""
    n = _n_cores()
    return ThreadPoolExecutor(n, thread_name_prefix="egbas", initializer=_begin, initargs=(n, True))


def settle_fork() -> None:
    """In a forked process let torch use one thread: it would wait for ever for others, which its parent has."""
    if _forked:
        _forked.clear()
        torch.set_num_threads(1)


def _in_child() -> None:
    _waiting.cache_clear()  # a child has none of its parent's threads
    _forked.append(os.getpid())


_forked: list[int] = []  # this process, where it was forked and has not settled yet
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
