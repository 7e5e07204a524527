# SPDX-License-Identifier: MIT
"""Who writes an exploration to disk: a step further down the flow, which this one must not know.

The package itself (``egbas/__init__.py``) knows both, and says here what ``Exploration.save`` calls.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Writer = Callable[..., Path]

_writers: list[Writer] = []  # of which the last one counts


def use(writer: Writer) -> None:
    """Let ``Exploration.save`` call a function: (run, path, *, overwrite) to the path of the run directory."""
    _writers.append(writer)


def write(run: Any, path: Any, *, overwrite: bool) -> Path:
    """Write an exploration, as the function that was named last does."""
    return _writers[-1](run, path, overwrite=overwrite)
