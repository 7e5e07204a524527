# SPDX-License-Identifier: MIT
"""A task, what comes of one, and the contract of who does them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

FINISHED, FOUND, FAILED, BUSY = "finished", "found", "failed", "busy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One exploration of a sweep.

    Attributes:
        key: of the directory of its result in the store.
        model: as it was named.
        layer: number or path.
        level: of the supporting set; None where a sparsity or a distance decides.
        seed: of the exploration, and of the query where that has no row.
        row: of the query in the file of latents; None where the seed draws it.
    """

    key: str
    model: str
    layer: int | str
    level: int | None
    seed: int
    row: int | None = None

    @property
    def told(self) -> str:
        """The task in words."""
        query = f"seed {self.seed}" if self.row is None else f"row {self.row}, seed {self.seed}"
        level = "" if self.level is None else f", level {self.level}"
        return f"{self.model}, layer {self.layer}{level}, {query}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a task.

    Attributes:
        task: which.
        status: ``"finished"`` now; ``"found"``, finished meanwhile by somebody else; ``"failed"``; or ``"busy"``, while
            another driver works on it, which no engine hands on.
        seconds: that the work itself took.
        cpu: likewise, of a processor.
        overhead: seconds that the store took, beside the work on the next task.
        overhead_cpu: likewise, of a processor.
        row: of the table of results; None where it failed.
        files: of the run directory, where the driver is to write it.
        message: what a failed task said.
        is_open: whether the driver is to write into the store what came of it.
    """

    task: Task
    status: Literal["finished", "found", "failed", "busy"]
    seconds: float = 0.0
    cpu: float = 0.0
    overhead: float = 0.0
    overhead_cpu: float = 0.0
    row: Mapping[str, Any] | None = None
    files: Mapping[str, bytes] | None = None
    message: str = ""
    is_open: bool = False


@runtime_checkable
class Workshop(Protocol):
    """All that a worker holds between tasks: networks with their splits, settings."""

    def files(self, task: Task) -> dict[str, bytes]:
        """Do a task: the files of its run directory, by name.

        Raises:
            Exception: whatever goes wrong in it; it is the task's failure.
        """
        ...


# Makes the workshop of a worker, by its number, in the worker's process; it is sent there, and so has to be picklable.
Opening = Callable[[int], Workshop]
