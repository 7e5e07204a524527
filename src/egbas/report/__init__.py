# SPDX-License-Identifier: MIT
"""One self-contained HTML page of an exploration.

The figure beside baselines is imported from its own file: it needs matplotlib, which the page alone does not.
"""

from egbas.report.command import command
from egbas.report.page import galleries_of, render

__all__ = ["command", "galleries_of", "render"]
