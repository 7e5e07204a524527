# SPDX-License-Identifier: MIT
import _thread
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from egbas.machine.threads import at_once, idle_cores, settle_fork, side_by_side, threads_worth


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

    start, before = time.perf_counter(), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            side_by_side(work, range(2), 2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.perf_counter() - start < 9


def test_idle_cores() -> None:
    assert idle_cores() >= 1
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(10_000)
        assert idle_cores() == 1
    finally:
        torch.set_num_threads(before)


def test_threads_side_by_side_share_the_idle_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egbas.machine.threads._n_cores", lambda: 8 * torch.get_num_threads())
    assert idle_cores() == 8
    assert side_by_side(lambda i, stop: idle_cores(), range(4), 4) == [2] * 4
    assert side_by_side(lambda i, stop: idle_cores(), range(2), 16) == [4] * 2
    within = side_by_side(lambda i, stop: side_by_side(lambda j, stop: idle_cores(), range(2), 2), range(2), 2)
    assert within == [[2, 2], [2, 2]]
    assert idle_cores() == 8


def test_short_work_is_done_at_once_and_in_order() -> None:
    meeting = threading.Barrier(2, timeout=10)
    assert sorted(at_once(lambda i: meeting.wait(), range(2))) == [0, 1]
    assert at_once(lambda i: i * i, range(5)) == [0, 1, 4, 9, 16]
    assert at_once(lambda i: i, []) == []
    here = threading.get_ident()
    assert [who == here for who in at_once(lambda i: threading.get_ident(), range(3))] == [True, False, False]


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_of_short_work_is_raised(bad: int) -> None:
    with pytest.raises(ZeroDivisionError):
        at_once(lambda i: 1 / (i - bad), range(2))
    assert at_once(lambda i: i, range(2)) == [0, 1]


def test_threads_that_wait_do_not_wait_for_themselves() -> None:
    def work(i: int) -> list[int]:
        return at_once(lambda j: 10 * i + j, range(3))

    assert at_once(work, range(40)) == [[10 * i + j for j in range(3)] for i in range(40)]


def test_threads_follow_the_number_of_torch_s_threads() -> None:
    before = torch.get_num_threads()
    try:
        for n in (2, 1, 2):
            torch.set_num_threads(n)
            assert at_once(lambda i: torch.get_num_threads(), range(3)) == [n] * 3
    finally:
        torch.set_num_threads(before)


def test_work_that_outlives_the_main_thread() -> None:
    script = """
import threading, time
from egbas.machine.threads import at_once
def work():
    time.sleep(0.3)  # until the interpreter waits for this thread alone
    print(at_once(lambda i: i, range(3)))
threading.Thread(target=work).start()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[0, 1, 2]\n", "")


@pytest.mark.parametrize(("seconds", "worth"), [(0.0, 1), (1e-3, 1), (1.7e-3, 2), (1.0, 8)])
def test_how_many_threads_are_worth_it(seconds: float, worth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egbas.machine.threads.idle_cores", lambda: 8)
    assert threads_worth(seconds) == worth


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    assert at_once(lambda i: i, range(2)) == [0, 1]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = int(at_once(lambda i: i, range(2)) != [0, 1])
            torch.set_num_threads(2)
            for n in (1, 3):  # once, and then it is the user's affair
                settle_fork()
                code += int(torch.get_num_threads() != n)
                torch.set_num_threads(3)
        finally:
            os._exit(code)  # not to run the other tests
    for _ in range(100):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.1)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child waits for threads that only its parent has")
    assert os.waitstatus_to_exitcode(status) == 0
