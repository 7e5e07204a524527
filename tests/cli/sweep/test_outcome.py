# SPDX-License-Identifier: MIT
import io
from pathlib import Path

from rich.console import Console

from egbas.cli.sweep.outcome import as_record, status_table, summary
from egbas.sweep.drive import Counts


def test_the_live_table() -> None:
    counts = Counts(total=1200, before=1000, finished=7, failed=3, running=2)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(status_table(counts))
    text = console.export_text()
    for words in ("1,007 of 1,200", "running", "failed", "rate", "time left"):
        assert words in text


def test_the_last_lines_say_what_failed_and_where_all_is() -> None:
    counts = Counts(total=5, before=1, finished=2, elsewhere=1, failed=1)
    first, *others = summary(counts, Path("s"))
    assert first == "tasks    4 of 5 finished, 1 of them before, 1 by another driver; 1 failed"
    assert [line.split()[0] for line in others] == ["failed", "table", "summary"]
    assert len(summary(Counts(total=5), Path("s"))) == 1
    record = as_record(counts, Path("s"))
    assert (record["done"], record["failed"], record["out"]) == (4, 1, "s")
