# SPDX-License-Identifier: MIT
"""Results in, pictures out: nothing here samples or saves.

What a run directory shows is drawn without matplotlib, whose import and figures would take longer than a short run:
drawings in SVG, and sheets of images. The figures that matplotlib draws are imported from their own files.
"""

from egbas.figures.drawing import Drawing
from egbas.figures.fixed_free import deviation_drawing, freedom_drawing, freedom_picture, pixel_deviation
from egbas.figures.gallery import Gallery
from egbas.figures.history import history_drawing
from egbas.figures.kept import kept_units_drawing
from egbas.figures.plane import PlaneMap, map_plane, plane_drawing, plane_window
from egbas.figures.samples import choose_even, choose_spread, samples_sheet

__all__ = [
    "Drawing",
    "Gallery",
    "PlaneMap",
    "choose_even",
    "choose_spread",
    "deviation_drawing",
    "freedom_drawing",
    "freedom_picture",
    "history_drawing",
    "kept_units_drawing",
    "map_plane",
    "pixel_deviation",
    "plane_drawing",
    "plane_window",
    "samples_sheet",
]
