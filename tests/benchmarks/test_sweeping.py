# SPDX-License-Identifier: MIT
import os

import pytest

from benchmarks.sweeping import _resident, row_of, with_overhead

TOLD = {"failed": 0, "work": 19.0, "work_cpu": 10.0, "overhead_cpu": 0.5}


def test_a_row_by_hand() -> None:
    done = [100.0 + i for i in range(21)]  # one task a second
    memory = [(100.0 + i, 1e8 + 1e6 * i) for i in range(21)]
    row = with_overhead({"workers": 1, **row_of(TOLD, 42.0, done, memory)})
    assert row["tasks_a_second"] == pytest.approx(0.5) and row["tasks_a_second_from_first_to_last"] == 1.0
    assert row["store_share_of_cpu"] == pytest.approx(0.05)
    assert row["share_of_workers_time_without_work"] == pytest.approx(1 - 19 / 21)
    assert (row["driver_mb_at_first"], row["driver_mb_at_last"], row["driver_mb_peak"]) == (105.0, 119.0, 120.0)


def test_one_task_has_no_rate_of_its_own() -> None:
    row = with_overhead({"workers": 2, **row_of(TOLD, 4.0, [100.0], [])})
    assert row["tasks_a_second_from_first_to_last"] is row["driver_mb_peak"] is None


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the system does not tell the memory of a process")
def test_memory_of_a_process() -> None:
    assert (_resident(os.getpid()) or 0) > 1e7
    assert _resident(2**30) is None
