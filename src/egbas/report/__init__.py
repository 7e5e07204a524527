# SPDX-License-Identifier: MIT
"""One self-contained HTML page of an exploration."""

from egbas.report.baselines import baselines_figure
from egbas.report.command import command
from egbas.report.page import galleries_of, render

__all__ = ["baselines_figure", "command", "galleries_of", "render"]
