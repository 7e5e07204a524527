# SPDX-License-Identifier: MIT
"""Areas of a drawing with scales: ticks, labels, a frame, and the bar that tells what colours mean."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from egbas.figures.drawing import WORDS, Drawing, Points
from egbas.figures.style import BLACK, Picture

Range = tuple[float, float]

_TICK, _MOST = 5.0, 8  # length of ticks, and how many
_ROOM = 48.0  # for the numbers beside a plot, before its label; more where they are long
_DIGIT = 0.62 * WORDS  # width, roughly
_STEPS = (1.0, 2.0, 5.0, 10.0)
BAR = 14.0  # width of a bar of colours


@dataclass(frozen=True, kw_only=True)
class Plot:
    """An area of a drawing, and what its sides mean.

    Attributes:
        drawing: to draw on.
        left: of the area, in pixels, as the other three.
        top: of the area.
        width: of the area.
        height: of the area.
        x: values at the left and at the right side.
        y: values at the bottom and at the top.
        counts: whether the values are whole numbers.
    """

    drawing: Drawing
    left: float
    top: float
    width: float
    height: float
    x: Range
    y: Range
    counts: bool = False

    def at(self, points: Points) -> Points:
        """Where points (n, 2) of values lie in the drawing."""
        (left, right), (bottom, top) = self.x, self.y
        across = self.left + self.width * (points[:, 0] - left) / (right - left)
        down = self.top + self.height * (top - points[:, 1]) / (top - bottom)
        return np.stack([across, down], axis=1)

    def frame(self) -> None:
        """Draw the sides."""
        self.drawing.rectangle(self.left, self.top, self.width, self.height, BLACK, is_filled=False)

    def scale_below(self, label: str = "") -> None:
        """Draw ticks, numbers and a label below."""
        bottom = self.top + self.height
        for value, told in ticks(self.x, most=max(2, min(_MOST, round(self.width / 80))), counts=self.counts):
            x, _ = self.at(np.array([[value, self.y[0]]]))[0]
            self.drawing.lines([np.array([[x, bottom], [x, bottom + _TICK]])], BLACK)
            self.drawing.words(x, bottom + _TICK + WORDS, told)
        self.drawing.words(self.left + self.width / 2, bottom + _TICK + 2.6 * WORDS, label)

    def scale_beside(self, label: str = "", *, is_right: bool = False, colour: str = BLACK) -> None:
        """Draw ticks, numbers and a label, read from below, at the left or at the right."""
        side, outward = (self.left + self.width, 1) if is_right else (self.left, -1)
        anchor = "start" if is_right else "end"
        marked = ticks(self.y, most=max(2, min(_MOST, round(self.height / 36))), counts=self.counts)
        for value, told in marked:
            _, y = self.at(np.array([[self.x[0], value]]))[0]
            self.drawing.lines([np.array([[side, y], [side + outward * _TICK, y]])], BLACK)
            self.drawing.words(side + outward * (_TICK + 4), y, told, anchor=anchor)
        middle = self.top + self.height / 2
        room = max(_ROOM, *(_DIGIT * len(told) + WORDS for _, told in marked))
        self.drawing.words(side + outward * (_TICK + room), middle, label, colour=colour, turned=True)


def colour_bar(plot: Plot, colours: Picture, label: str = "") -> None:
    """Draw a bar that tells what colours mean.

    Args:
        plot: an area as wide as the bar.
        colours: (n, 1, 3), from top to bottom.
        label: what they tell.
    """
    plot.drawing.picture(plot.left, plot.top, plot.width, plot.height, colours)
    plot.frame()
    plot.scale_beside(label, is_right=True)


def falling(n: int = 128) -> NDArray[np.float64]:
    """Values (n, 1) from 1 down to 0, for the colours of a bar."""
    return np.linspace(1, 0, n)[:, None]


def ticks(values: Range, most: int, *, counts: bool = False) -> list[tuple[float, str]]:
    """Round values within a range, at equal steps of 1, 2 or 5 times a power of ten, and what to write beside them.

    Args:
        values: the lowest and the highest.
        most: ticks there may be, at least 2; one more where both ends have one.
        counts: whether they are whole numbers.
    """
    low, high = values
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough * (1 - 1e-9))
    step = max(step, 1.0) if counts else step
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [(number * step, f"{number * step:.{digits}f}".replace("-", "−")) for number in numbers]  # noqa: RUF001
