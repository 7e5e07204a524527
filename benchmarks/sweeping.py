# SPDX-License-Identifier: MIT
"""``egbas sweep`` by one worker beside two: rates, what store and engine take, the memory of the driver.

Nothing else should run meanwhile. Each number of workers has a folder of its own, which goes when it has been measured.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.timing import machine

FOLDER = Path(__file__).parent
CALL = "import sys; from egbas.cli import main; sys.argv = ['egbas', *sys.argv[1:]]; main()"
FEW = ["--sparsity", "3", "--max-steps", "20", "--iterations", "200", "--samples", "0"]
_PAUSE = 0.5  # seconds between two looks at the driver's memory
_FIRST, _LAST = 0.25, 0.95  # of the tasks: the memory between these shares is compared, all is loaded by then
_MB = 1e6


def measured(workers: int, queries: int, layers: str, model: str, folder: Path) -> dict[str, Any]:
    """Run a sweep as a user would, and tell its rates, its overhead and the memory of its driver.

    Args:
        workers: processes of the sweep.
        queries: seeds 0, 1, ...
        layers: as ``--layer`` takes them.
        model: an embedded one.
        folder: to write to; there is none yet.
    """
    words = ["sweep", "--model", model, "--layer", layers, "--seed", f"0-{queries - 1}", *FEW]
    words += ["--workers", str(workers), "--out", str(folder), "--json", "--quiet"]
    start, memory = time.perf_counter(), list[tuple[float, float]]()
    with subprocess.Popen([sys.executable, "-c", CALL, *words], stdout=subprocess.PIPE, text=True) as driver:
        while driver.poll() is None:
            if (resident := _resident(driver.pid)) is not None:
                memory.append((time.time(), resident))
            time.sleep(_PAUSE)
        assert driver.stdout is not None
        told = driver.stdout.read()
    took = time.perf_counter() - start
    if driver.returncode not in (0, 1):  # 1: some tasks failed, of 2,000 with so few steps about four
        raise SystemExit(f"the sweep ended with {driver.returncode}")
    done = sorted(file.stat().st_mtime for file in (folder / "tasks").glob("*/DONE"))
    return {"workers": workers, **row_of(json.loads(told), took, done, memory)}


def row_of(
    told: dict[str, Any], took: float, done: Sequence[float], memory: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """The row of a sweep.

    Args:
        told: what it printed for programs.
        took: seconds, starts of the processes included.
        done: times at which the tasks were finished, in order.
        memory: bytes of the driver at some times.
    """
    n = len(done)
    early, late = (done[min(int(share * n), n - 1)] for share in (_FIRST, _LAST))
    between = [resident for at, resident in memory if early <= at <= late]
    return {
        "tasks": n,
        "failed": told["failed"],
        "seconds": took,
        "tasks_a_second": n / took,
        "tasks_a_second_from_first_to_last": (n - 1) / (done[-1] - done[0]) if n > 1 else None,
        "work_seconds": told["work"],
        "work_cpu_seconds": told["work_cpu"],
        "store_cpu_seconds": told["overhead_cpu"],
        "store_share_of_cpu": told["overhead_cpu"] / told["work_cpu"],
        "share_of_workers_time_without_work": None,
        "driver_mb_at_first": between[0] / _MB if between else None,
        "driver_mb_at_last": between[-1] / _MB if between else None,
        "driver_mb_peak": max(resident for _, resident in memory) / _MB if memory else None,
    }


def with_overhead(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the share of the workers' time that was no work, starts of the processes left out."""
    rate = row["tasks_a_second_from_first_to_last"]
    if rate is None:
        return row
    idle = 1 - rate * row["work_seconds"] / row["tasks"] / row["workers"]
    return {**row, "share_of_workers_time_without_work": idle}


def _resident(process: int) -> float | None:
    """Bytes of memory that a process has; None where it has ended, or this system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * float(line.split()[1]) for line in lines if line.startswith("VmRSS:")), None)


def main() -> None:
    """Measure, print a line for each number of workers, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--layers", default="1,2")
    parser.add_argument("--model", default="dcgan-mnist-2d")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=FOLDER / "sweeping.json")
    asked = parser.parse_args()
    rows = []
    for workers in asked.workers:
        with tempfile.TemporaryDirectory() as folder:
            row = measured(workers, asked.queries, asked.layers, asked.model, Path(folder) / "sweep")
        rows.append(with_overhead(row))
        print(json.dumps(rows[-1]))
    ratios = {str(row["workers"]): rows[0]["seconds"] / row["seconds"] for row in rows}
    content = {
        "rows": rows,
        "times_the_rate_of_the_first": ratios,
        "config": {"model": asked.model, "layers": asked.layers, "queries": asked.queries, "options": FEW},
        "machine": machine("cpu"),
    }
    asked.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print("times the rate of the first:", ", ".join(f"{n} workers {ratio:.2f}" for n, ratio in ratios.items()))


if __name__ == "__main__":
    main()
