# SPDX-License-Identifier: MIT
"""Workshops for tests of engines: their tasks are quick, and go wrong where that is asked for."""

import json
import os
import signal
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from egbas.sweep.plan import Part, Plan
from egbas.sweep.task import Task


@dataclass(frozen=True, kw_only=True)
class Quick:
    """Writes down which task it does, and does nothing else.

    Attributes:
        log: file that gets a line for each task that is begun.
        failing: seeds of tasks that raise.
        killing: seeds of tasks at which the process dies, the first time.
        deadly: seeds of tasks at which every process dies.
        seconds: that each takes.
    """

    log: str
    failing: Collection[int] = ()
    killing: Collection[int] = ()
    deadly: Collection[int] = ()
    seconds: float = 0.0

    def __call__(self, number: int) -> "Quick":
        """As an opening: the same for every worker."""
        return self

    def take(self, models: object) -> None:
        """It needs none."""

    def files(self, task: Task) -> dict[str, bytes]:
        """Do a task."""
        before = begun(Path(self.log))
        with open(self.log, "a") as file:
            file.write(f"{task.seed}\n")
        time.sleep(self.seconds)
        if task.seed in self.deadly or (task.seed in self.killing and task.seed not in before):
            os.kill(os.getpid(), signal.SIGKILL)
        if task.seed in self.failing:
            raise ValueError(f"seed {task.seed} is bad")
        config = {"model": {"name": "m"}, "layer": {"number": 1, "path": "relu"}, "level": task.level, "query": [0.5]}
        metrics = {"warnings": [], "fidelity": task.seed / 7, "region": {"freedom": 0.5}}
        return {
            "config.json": json.dumps({**config, "seed": task.seed}).encode(),
            "metrics.json": json.dumps(metrics).encode(),
        }


def begun(log: Path) -> list[int]:
    """The seeds of the tasks that were begun, in order."""
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def plan_of(seeds: Sequence[int], **decides: object) -> Plan:
    """A plan of one layer and one level."""
    part = Part(model="m", layers={1: "relu"}, levels=[6], decides=decides)
    return Plan(parts=[part], seeds=seeds)
