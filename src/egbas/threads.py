# SPDX-License-Identifier: MIT
"""Work side by side on the cores that torch leaves idle.

Small networks are computed by one thread, for two would spend their time waiting for each other. Several queries have
a core each.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

import torch

_PATIENCE = 0.2  # seconds

T = TypeVar("T")
R = TypeVar("R")


def idle_cores() -> int:
    """How many threads can each use as many cores as torch is set to; at least 1."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, n_cores // torch.get_num_threads())


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
    with ThreadPoolExecutor(min(n_threads, len(items))) as threads:
        futures = [threads.submit(work, item, stop) for item in items]
        try:
            left = set(futures)
            while left:  # now and then looking up, so that Ctrl-C is noticed whichever thread it reaches
                ended, left = wait(left, timeout=_PATIENCE, return_when=FIRST_EXCEPTION)
                for future in ended:
                    future.result()  # raises what it raised, before any that stopped for it
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise
