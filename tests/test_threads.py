# SPDX-License-Identifier: MIT
import _thread
import threading
import time

import pytest
import torch

from egbas.threads import idle_cores, side_by_side


@pytest.mark.parametrize("n_threads", [1, 2, 9])
def test_results_come_in_order(n_threads: int) -> None:
    assert side_by_side(lambda i, stop: i * i, range(7), n_threads) == [i * i for i in range(7)]
    assert side_by_side(lambda i, stop: i, [], n_threads) == []


def test_work_is_really_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=10)
    assert sorted(side_by_side(lambda i, stop: meeting.wait(), range(3), 3)) == [0, 1, 2]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_others_are_told_to_stop_where_one_fails(error: type[BaseException]) -> None:
    ended = []

    def work(i: int, stop: threading.Event) -> None:
        if i == 0:
            raise error
        ended.append(stop.wait(timeout=10))

    start = time.perf_counter()
    with pytest.raises(error):
        side_by_side(work, range(50), 2)
    assert all(ended)
    assert len(ended) < 49  # those not begun never are
    assert time.perf_counter() - start < 9


def test_the_user_interrupts() -> None:
    def work(i: int, stop: threading.Event) -> bool:
        if i == 0:
            time.sleep(0.2)
            _thread.interrupt_main()
        return stop.wait(timeout=10)

    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, range(2), 2)
    assert time.perf_counter() - start < 9


def test_idle_cores() -> None:
    assert idle_cores() >= 1
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(10_000)
        assert idle_cores() == 1
    finally:
        torch.set_num_threads(before)
