# SPDX-License-Identifier: MIT
"""Lists and ranges on the command line: ``1,3``, ``0-19``, ``1-4,6``, and layers by number or path."""

import re
from collections.abc import Sequence

from egbas.beropt.config import COARSEST, FINEST
from egbas.errors import ConfigError
from egbas.inputs.numbers import whole_number
from egbas.inputs.queries import MAX_SEED
from egbas.network import Layer

_MOST = 10_000  # numbers of a range: more is a typing error
_ROWS = 4  # layers that are taken where none are named


def numbers(text: str, option: str) -> list[int]:
    """Read whole numbers, in the order given, each once.

    Args:
        text: such as ``1,3`` or ``0-19``.
        option: that it was typed after, for messages.

    Raises:
        ConfigError: it is neither a list nor a range.
    """
    return [number for span in spans(text, option) for number in span]


def spans(text: str, option: str, most: int = _MOST) -> list[range]:
    """Read whole numbers as ``numbers`` does, as ranges of which no two overlap.

    Args:
        text: such as ``1,3`` or ``0-19``.
        option: that it was typed after, for messages.
        most: numbers of a range.

    Raises:
        ConfigError: it is neither a list nor a range.
    """
    found: list[range] = []
    for word in (word.strip() for word in text.split(",")):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        if match is None:
            raise ConfigError(f"{option} {text!r}: {word!r} is no number; expected such as 3, or 1,3 or 0-19")
        first = whole_number(match[1], option, 0, MAX_SEED)
        last = whole_number(match[2] or match[1], option, 0, MAX_SEED)
        if not first <= last < first + most:
            raise ConfigError(f"{option} {text!r}: the range {word} runs backwards or is longer than {most:,}")
        found += _without(range(first, last + 1), found)
    return found


def _without(span: range, others: Sequence[range]) -> list[range]:
    """What is left of a range without the numbers of others."""
    left = [span]
    for other in others:
        parts = (
            (range(one.start, min(one.stop, other.start)), range(max(one.start, other.stop), one.stop)) for one in left
        )
        left = [part for pair in parts for part in pair if len(part)]
    return left


def levels(text: str) -> list[int]:
    """Read levels.

    Args:
        text: such as ``1,3`` or ``1-8``.

    Raises:
        ConfigError: it is neither a list nor a range, or there is no such level.
    """
    found = numbers(text, "--level")
    for level in found:
        if not COARSEST <= level <= FINEST:
            raise ConfigError(f"--level {text!r}: there is no level {level}; expected {COARSEST} (coarse) to {FINEST}")
    return found


def layers(text: str | None, known: Sequence[Layer], image_size: int) -> list[int | str]:
    """Read layers: numbers, ranges and paths; None: four hidden ones, evenly from the first to the last.

    Args:
        text: such as ``1-4`` or ``relu2,relu4``.
        known: the numbered layers of the network.
        image_size: values of an image; a last layer of as many units is the output, and not hidden.

    Raises:
        ConfigError: a range runs backwards, or the network has no non-linearity.
    """
    if text is not None:
        found: list[int | str] = []
        for word in (word.strip() for word in text.split(",")):
            if not word:
                raise ConfigError(f"--layer {text!r} names a layer without a name; expected such as 1-4 or relu1,relu3")
            found += numbers(word, "--layer") if re.fullmatch(r"\d+(-\d+)?", word) else [word]
        return list(dict.fromkeys(found))
    hidden = [layer.number for layer in known if layer.number is not None]
    if len(hidden) > 1 and known[-1].units == image_size:
        hidden = hidden[:-1]
    if not hidden:
        raise ConfigError("the network has no non-linearity; name a module with --layer")
    last = len(hidden) - 1
    return list(dict.fromkeys(hidden[round(i * last / (_ROWS - 1))] for i in range(_ROWS)))
