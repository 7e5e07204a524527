# SPDX-License-Identifier: MIT
"""One self-contained HTML page of an exploration."""

from egbas.report.baselines import baselines_figure
from egbas.report.command import command
from egbas.report.page import gallery_of, render

__all__ = ["baselines_figure", "command", "gallery_of", "render"]
