# SPDX-License-Identifier: MIT
"""Tables of the docs, in Markdown."""

from collections.abc import Sequence


def table(names: Sequence[object], lines: Sequence[Sequence[object]]) -> str:
    """A table with a heading; each cell as ``str`` shows it."""
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (names, ["---"] * len(names), *lines))


def interval(mean: float, low: float, high: float) -> str:
    """A mean with the ends of its interval."""
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def span(values: Sequence[int]) -> str:
    """From the least to the most."""
    return str(values[0]) if len(set(values)) == 1 else f"{min(values)} to {max(values)}"
