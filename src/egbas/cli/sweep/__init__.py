# SPDX-License-Identifier: MIT
"""``egbas sweep``: the command, its options in a file, its plan, and what comes of it."""

from egbas.cli.sweep.command import sweep

__all__ = ["sweep"]
