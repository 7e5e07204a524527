# SPDX-License-Identifier: MIT
"""Command lines for tests: settings that many tests have, and what one of them has instead."""

from collections.abc import Sequence

REPEATABLE = ("--judge",)


def once(words: Sequence[str]) -> list[str]:
    """Words of a command line in which an option replaces the same option before it; egbas takes each once."""
    found: list[tuple[str, ...]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        is_option = word.startswith("--") and "=" not in word
        has_value = is_option and bool(rest) and not rest[0].startswith("--")
        if is_option and word not in REPEATABLE:
            found = [one for one in found if one[0] != word]
        found.append((word, rest.pop(0)) if has_value else (word,))
    return [word for one in found for word in one]
