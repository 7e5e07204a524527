# SPDX-License-Identifier: MIT
import threading

import pytest

from egbas.exploration.clock import Clock, Stopped


def test_seconds_are_those_of_one_query() -> None:
    clock = Clock(None, 4)
    with clock.stage("work"):
        pass
    assert clock.progress("work") is None
    assert set(clock.seconds) == {"work"}
    assert 0 <= clock.seconds["work"] < 1


def test_progress_of_several_queries_adds_up() -> None:
    told: list[tuple[str, int, int, str]] = []
    clock = Clock(lambda *what: told.append(what), 2)
    one, other = (clock.of_one("work", threading.Event()) for _ in range(2))
    one(3, 10, "a")
    other(10, 10, "b")
    one(1, 10, "a second start counts from zero")
    one(10, 10, "c")
    assert told == [("work", 3, 20, "a"), ("work", 13, 20, "b"), ("work", 13, 20, told[2][3]), ("work", 20, 20, "c")]


def test_work_ends_when_that_on_another_query_has_failed() -> None:
    stop = threading.Event()
    tell = Clock(None, 2).of_one("work", stop)
    tell(1, 2, "")
    stop.set()
    with pytest.raises(Stopped):
        tell(2, 2, "")
