# SPDX-License-Identifier: MIT
"""Tables of the docs, in Markdown."""

from collections.abc import Sequence


def table(names: Sequence[object], lines: Sequence[Sequence[object]]) -> str:
    """A table with a heading; each cell as ``str`` shows it."""
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (names, ["---"] * len(names), *lines))
