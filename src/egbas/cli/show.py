# SPDX-License-Identifier: MIT
"""What the commands print: results on stdout, everything else (messages, warnings, progress) on stderr.

Rich draws tables, bars and messages; it is imported where one is drawn.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import typer

from egbas.errors import RunDirectoryError

PIPE_WIDTH = 200
_FORCES = "FORCE_COLOR", "TTY_COMPATIBLE"  # variables that let Rich take a pipe for a terminal
StageProgress = Callable[[str, int, int, str], None]

_keeps_descriptor = False
_results: list[Any] = []  # where results go while everything else is kept off it


@contextmanager
def results_alone() -> Iterator[None]:
    """Keep stdout for results: what anybody else prints meanwhile, such as a user's network, goes to stderr.

    After ``keep_descriptor`` that holds for the process: also what C code, child processes and functions that run at
    the end of the process write.
    """
    results = _apart(sys.stdout) if _keeps_descriptor else sys.stdout
    former, _results[:] = list(_results), [results]
    try:
        with redirect_stdout(sys.stderr):
            yield
        results.flush()  # a pipe that is closed is told here
    finally:
        _results[:] = former
        if _keeps_descriptor and results is not sys.stdout:
            with suppress(OSError):
                results.close()


def keep_descriptor() -> None:
    """Let ``results_alone`` move the results to a descriptor of their own; for a process that runs one command."""
    global _keeps_descriptor  # noqa: PLW0603
    _keeps_descriptor = True


def _apart(stdout: Any) -> Any:
    """Stdout on another descriptor, with stderr in its place; itself where it is no descriptor of the process."""
    try:
        if stdout.fileno() != 1 or sys.stderr.fileno() == 1:
            return stdout
        stdout.flush()
        kept = os.dup(1)
        os.dup2(sys.stderr.fileno(), 1)
    except (AttributeError, OSError, ValueError):  # closed, or another object than a file
        return stdout
    return open(kept, "w", encoding=stdout.encoding, errors=stdout.errors, buffering=1)


def say(text: object) -> None:
    """Print a line of the result."""
    typer.echo(text, file=_stdout())


def error(message: str) -> None:
    """Print an error."""
    _labelled("error", "bold red", message)


def warning(message: str) -> None:
    """Print a warning."""
    _labelled("warning", "bold yellow", message)


@contextmanager
def telling_what_stays(place: Path) -> Iterator[None]:
    """Where Ctrl-C or a full disk ends the work, say in which folder that lies what is finished."""
    try:
        yield
    except (KeyboardInterrupt, RunDirectoryError) as error:
        is_stopped = isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, OSError)  # not a damaged store
        if is_stopped and place.exists():  # it goes where nothing was finished
            warning(f"what is finished lies in {place}; the same command goes on from there")
        raise


def as_json(content: Any) -> None:
    """Print a result for programs."""
    say(json.dumps(content, indent=2, allow_nan=False))


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a result for people; numbers stand right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD)
    for column, heading in enumerate(headings):
        numeric = all(isinstance(row[column], int | float) for row in rows)
        drawn.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(str(cell)) for cell in row))  # Text: brackets in a name are no markup
    # Into a pipe or a file a table is as wide as it needs: a name broken in two cannot be searched for.
    out = _stdout()
    console = Console(file=out) if Console(file=out).is_terminal else Console(file=out, width=PIPE_WIDTH)
    console.print(drawn)


@contextmanager
def progress_bar(quiet: bool) -> Iterator[StageProgress]:
    """Show one bar with an estimate per stage; yields what to call with (stage, done, total, text)."""
    if quiet or not (sys.stderr.isatty() or any(os.environ.get(name) for name in _FORCES)):
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[stage]:<12}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int, text: str) -> None:
            if stage not in tasks:
                for task in bars.tasks:  # a stage that converged early stops short of its total
                    bars.update(task.id, completed=task.total)
                tasks[stage] = bars.add_task("", total=total, stage=stage, text=text)
            bars.update(tasks[stage], completed=done, total=total, text=text)

        yield report


def _stdout() -> Any:
    return _results[-1] if _results else sys.stdout


def _labelled(label: str, style: str, message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True, highlight=False).print(Text.assemble((f"{label}: ", style), message))
