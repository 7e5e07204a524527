# SPDX-License-Identifier: MIT
"""Whole numbers within texts that may also be something else, such as ``--latent SEED|FILE``."""

from egbas.errors import ConfigError

_DIGITS = 40  # more is out of every range, and Python refuses to read more than 4,300
_SHOWN = 30


def whole_number(text: str, option: str, least: int, most: int) -> int:
    """Read a whole number of decimal digits.

    Args:
        text: for which ``isdecimal`` holds.
        option: that it was typed after, for messages.
        least: that it may be.
        most: likewise.

    Raises:
        ConfigError: it is out of range.
    """
    number = int(text) if len(text) <= _DIGITS else most + 1
    if not least <= number <= most:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} digits)"
        raise ConfigError(f"{option} {shown} is out of range; expected {least:,} to {most:,}")
    return number
