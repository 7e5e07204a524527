# SPDX-License-Identifier: MIT
"""The command line, thin: parse, call, show. Importing it, and ``--help``, import no torch."""

from egbas.cli.app import app, main

__all__ = ["app", "main"]
