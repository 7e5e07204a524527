# SPDX-License-Identifier: MIT
"""Drawings of lines, marks, words and pictures in SVG.

The report is made of them: matplotlib takes longer for its figures than a short run takes as a whole.
"""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from egbas.figures.style import BLACK, Picture, pixels_of

Points = NDArray[np.floating[Any]]  # (n, 2)

# Marks, as paths from a point.
CIRCLE, CROSS, PLUS = "h0", "m-2-2l4 4m0-4l-4 4", "m-2.5 0h5m-2.5-2.5v5"

WORDS = 13  # height of words


@dataclass(kw_only=True, eq=False)
class Drawing:
    """Lines, marks, words and pictures, each on top of those before it.

    Lengths are in pixels, and (0, 0) is the upper left corner.

    Attributes:
        width: of all of it.
        height: of all of it.
    """

    width: int
    height: int
    _elements: list[str] = field(default_factory=list[str], init=False, repr=False)

    def lines(
        self, lines: Iterable[Points], colour: str, *, width: float = 1.0, dash: str = "", opacity: float = 1.0
    ) -> None:
        """Draw lines, each through points.

        Args:
            lines: to draw.
            colour: of all.
            width: of all.
            dash: lengths of dashes and gaps, in turns; empty: without gaps.
            opacity: of all, as one layer.
        """
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._add_path(
            "".join(map(_through, lines)),
            f'fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round" opacity="{opacity}"{dashed}',
        )

    def area(self, outlines: Iterable[Points], colour: str, *, opacity: float = 1.0) -> None:
        """Fill what closed lines enclose; one within another cuts a hole."""
        path = "".join(f"{_through(outline)}z" for outline in outlines)
        self._add_path(path, f'fill="{colour}" fill-rule="evenodd" opacity="{opacity}"')

    def rectangle(self, left: float, top: float, width: float, height: float, colour: str, *, is_filled: bool) -> None:
        """Draw a rectangle, or fill it."""
        paint = f'fill="{colour}"' if is_filled else f'fill="none" stroke="{colour}"'
        self._elements.append(f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" {paint}/>')

    def marks(self, points: Points, mark: str, colour: str, *, width: float = 1.0) -> None:
        """Draw a mark at each point.

        Args:
            points: where.
            mark: one of those of this module.
            colour: of all.
            width: of its lines; the diameter of a circle.
        """
        self._add_path(
            "".join(f"M{x:.1f} {y:.1f}{mark}" for x, y in points.tolist()),
            f'fill="none" stroke="{colour}" stroke-width="{width}" stroke-linecap="round"',
        )

    def star(self, point: Points, colour: str, *, radius: float) -> None:
        """Draw a white star with a border."""
        angles = np.arange(10) * np.pi / 5
        reach = radius * np.where(np.arange(10) % 2, 0.4, 1.0)
        corners = point + np.stack([reach * np.sin(angles), -reach * np.cos(angles)], axis=1)
        self._add_path(f"{_through(corners)}z", f'fill="white" stroke="{colour}" stroke-width="1.6"')

    def words(
        self, x: float, y: float, words: str, *, colour: str = BLACK, anchor: str = "middle", turned: bool = False
    ) -> None:
        """Write words.

        Args:
            x: of their anchor.
            y: of their middle.
            words: to write.
            colour: of theirs.
            anchor: the point at x: their "start", "middle" or "end".
            turned: upright, read from below.
        """
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        place = f'x="{x:.1f}" y="{y:.1f}" dy="0.35em" text-anchor="{anchor}"{turn}'
        self._elements.append(f'<text {place} fill="{colour}">{escape(words)}</text>')

    def picture(self, left: float, top: float, width: float, height: float, picture: Picture) -> None:
        """Draw a picture pixel by pixel, stretched; one with more pixels than can be seen is drawn with fewer."""
        pixels, buffer = pixels_of(picture), io.BytesIO()
        pixels.thumbnail((max(1, round(2 * width)), max(1, round(2 * height))))
        pixels.save(buffer, format="PNG")
        png = base64.b64encode(buffer.getvalue()).decode()
        self._elements.append(
            f'<image x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" preserveAspectRatio="none" '
            f'style="image-rendering:pixelated" href="data:image/png;base64,{png}"/>'
        )

    def svg(self) -> str:
        """All of it, as the text of a file."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="system-ui, sans-serif" font-size="{WORDS}">'
            f"{''.join(self._elements)}</svg>"
        )

    def _add_path(self, path: str, style: str) -> None:
        if path:
            self._elements.append(f'<path d="{path}" {style}/>')


def _through(points: Points) -> str:
    return "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in points.tolist())
