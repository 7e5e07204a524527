# SPDX-License-Identifier: MIT
"""How far a sweep is, and what came of it: the live table, the summary, the lines in the end."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from egbas.cli import show
from egbas.cli.sweep.plan import hours
from egbas.report.sweep_page import columns_of, render_sweep
from egbas.storage import Store, load_sweep, write_file
from egbas.storage.destination import CONFIG
from egbas.storage.save import text_bytes
from egbas.storage.store import TASKS
from egbas.sweep.drive import Counts

SUMMARY = "summary.html"
_LISTED = 20  # failed tasks that are told


def write_summary(path: Path, shops: Mapping[str, Any]) -> None:
    """Write summary.html, of all that is finished in the folder.

    Args:
        path: of the sweep.
        shops: the workshops of the models, by name, whose networks make the pictures.
    """
    found = load_sweep(path)
    place = found.path / TASKS

    def load(task: str) -> Any:
        name = json.loads((place / task / CONFIG).read_text(encoding="utf-8"))["model"]["name"]
        return found.run(task, generator=shops[name].model.generator if name in shops else None)

    failures = {str(told.get("task", key)): str(told.get("message", "")) for key, told in Store(path).failures()}
    rows = found.rows(columns_of(found.columns))
    page = render_sweep(rows, load, failures=failures, title=f"Sweep {path.name}")
    write_file(path / SUMMARY, text_bytes(page))


@contextmanager
def live(quiet: bool) -> Iterator[Any]:
    """Show how far a sweep is, in a table on stderr that is kept up to date; only on a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    with Live(console=console, refresh_per_second=4, transient=True) as shown:
        yield lambda counts: shown.update(status_table(counts))


def status_table(counts: Counts) -> Any:
    """How far a sweep is, as a table for the terminal."""
    table = Table(box=box.SIMPLE_HEAD)
    left = counts.seconds_left
    cells = {
        "done": f"{counts.done:,} of {counts.total:,}",
        "running": str(counts.running),
        "failed": str(counts.failed),
        "rate": f"{60 * counts.rate:,.1f} a minute",
        "time left": "-" if left is None else hours(left),
    }
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*cells.values())
    return table


def as_record(counts: Counts, path: Path) -> dict[str, Any]:
    """What came of a sweep, for programs."""
    names = ("total", "done", "before", "finished", "elsewhere", "failed", "work", "work_cpu")
    names += ("overhead", "overhead_cpu", "failures")
    return {**{name: getattr(counts, name) for name in names}, "out": str(path)}


def summary(counts: Counts, path: Path) -> Sequence[str]:
    """Say in a few lines what came out, and where it is."""
    before = f", {counts.before:,} of them before" if counts.before else ""
    elsewhere = f", {counts.elsewhere:,} by another driver" if counts.elsewhere else ""
    lines = [f"tasks    {counts.done:,} of {counts.total:,} finished{before}{elsewhere}; {counts.failed:,} failed"]
    if counts.failed:
        lines.append(f"failed   what each said lies in {path / 'failed'}; --retry tries them again")
    if counts.done:
        lines += [f"table    {path / 'results.parquet'}", f"summary  {path / SUMMARY}"]
    return lines


def tell_failures(counts: Counts) -> None:
    """Warn of the first few tasks that failed."""
    for task, message in list(counts.failures.items())[:_LISTED]:
        show.warning(f"failed: {task}: {message}")
    if counts.failed > _LISTED:
        show.warning(f"... and {counts.failed - _LISTED:,} more failed")
