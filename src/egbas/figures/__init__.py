# SPDX-License-Identifier: MIT
"""Results in, matplotlib Figures out: nothing here samples, saves or touches pyplot's global state."""

from egbas.figures.boundaries import Boundaries, boundaries_figure, trace_boundaries
from egbas.figures.comparison import comparison_figure
from egbas.figures.fixed_free import deviation_figure, freedom_figure, freedom_picture, pixel_deviation
from egbas.figures.gallery import Gallery
from egbas.figures.history import history_figure
from egbas.figures.kept import kept_units_figure
from egbas.figures.levels import Cell, levels_figure
from egbas.figures.plane import PlaneMap, map_plane, plane_figure, plane_window
from egbas.figures.rankings import Panel, rankings_figure
from egbas.figures.regions import Drawn, balls_figure, methods_figure, region_and_ball_figure, tree_figure
from egbas.figures.rows import rows_figure
from egbas.figures.samples import choose_even, choose_spread, samples_figure
from egbas.figures.sensitivity import sensitivity_figure

__all__ = [
    "Boundaries",
    "Cell",
    "Drawn",
    "Gallery",
    "Panel",
    "PlaneMap",
    "balls_figure",
    "boundaries_figure",
    "choose_even",
    "choose_spread",
    "comparison_figure",
    "deviation_figure",
    "freedom_figure",
    "freedom_picture",
    "history_figure",
    "kept_units_figure",
    "levels_figure",
    "map_plane",
    "methods_figure",
    "pixel_deviation",
    "plane_figure",
    "plane_window",
    "rankings_figure",
    "region_and_ball_figure",
    "rows_figure",
    "samples_figure",
    "sensitivity_figure",
    "trace_boundaries",
    "tree_figure",
]
