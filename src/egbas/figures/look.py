# SPDX-License-Identifier: MIT
"""How outputs of any shape are drawn: images as they are, frames side by side, signals and vectors as curves.

Maps of their values, such as freedom, are laid out as the pictures are.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from egbas.figures.style import BLUE, GREY, channels_of, coloured, range_of
from egbas.network.image_range import ImageRange
from egbas.network.kinds import Kind, as_frames_shape, as_image_shape, as_signal_shape, kind_of

FRAMES, _COLUMNS = 8, 4  # that are shown, and how many in a row
WIDTH, HEIGHT = 160, 96  # of the drawing of a curve, in pixels
_LEAST_SPECTRUM = 512  # values of a signal that has a spectrogram below its curve
_WINDOW = 256
_DECIBELS = 80.0  # below a full-scale sine: black
_MARGIN = 0.05  # above and below a curve, as a share of its range


@dataclass(frozen=True)
class Look:
    """How the outputs of one network are drawn.

    Attributes:
        shape: of one output.
        values: its values that are black and white, or the lowest and the highest of a curve.
    """

    shape: tuple[int, ...]
    values: tuple[float, float]

    @classmethod
    def of(cls, outputs: Float[Tensor, "n ..."], image_range: ImageRange | None = None) -> "Look":
        """That of some outputs: by the range of the network's images where it is known, else by their own."""
        return cls.of_range(tuple(outputs.shape[1:]), (float(outputs.min()), float(outputs.max())), image_range)

    @classmethod
    def of_range(
        cls, shape: tuple[int, ...], ends: tuple[float, float], image_range: ImageRange | None = None
    ) -> "Look":
        """That of outputs of a shape, whose smallest and largest value are known."""
        is_picture = kind_of(shape) in ("image", "frames")
        if image_range is not None and is_picture:
            return cls(shape, image_range.limits)
        return cls(shape, range_of(*ends) if is_picture else ends)

    @property
    def kind(self) -> Kind:
        """What the outputs are taken for."""
        return kind_of(self.shape)

    @property
    def limits(self) -> tuple[float, float]:
        """Pixel values of ``pictures`` that are black and white."""
        return self.values if self.kind in ("image", "frames") else (0.0, 1.0)

    def pictures(self, outputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n c h w"]:
        """Draw outputs (n, *shape)."""
        outputs = outputs.detach().float().cpu()
        if self.kind == "image":
            return outputs.reshape(len(outputs), *as_image_shape(self.shape))
        if self.kind == "frames":
            return torch.stack([_side_by_side(_frames(output)) for output in outputs])
        drawn = [_curves(output.reshape(as_signal_shape(self.shape)).numpy(), self.values) for output in outputs]
        return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2)

    def map(self, values: Float[Tensor, "..."]) -> Float[Tensor, "h w"]:
        """Lay out a value of each entry of an output, such as its freedom; the mean over channels, NaN left out."""
        values = values.detach().float().cpu()
        if self.kind == "image":
            return values.reshape(as_image_shape(self.shape)).nanmean(dim=0)
        if self.kind == "frames":
            return _side_by_side(_frames(values)).nanmean(dim=0)
        rows = [_binned(row) for row in values.reshape(as_signal_shape(self.shape))]
        places = torch.arange(HEIGHT) * len(rows) // HEIGHT
        return torch.stack(rows)[places]


def _frames(output: Float[Tensor, "..."]) -> Float[Tensor, "k c h w"]:
    """Those of the frames that are shown: evenly from all."""
    (channels, n, height, width), is_first = as_frames_shape(tuple(output.shape))
    if is_first:
        frames = output
    else:
        frames = output.reshape(channels, n, height, width).transpose(0, 1)
    shown = min(n, FRAMES)
    return frames[torch.linspace(0, n - 1, shown, dtype=torch.float64).round().long()]


def _side_by_side(frames: Float[Tensor, "k c h w"]) -> Float[Tensor, "c H W"]:
    """In rows of four; a row that is not full ends in copies of the last frame."""
    columns = min(_COLUMNS, len(frames))
    rows = math.ceil(len(frames) / columns)
    filled = torch.cat([frames, frames[-1:].expand(rows * columns - len(frames), -1, -1, -1)])
    return torch.cat([torch.cat(list(row), dim=2) for row in filled.split(columns)], dim=1)


def _binned(row: Float[Tensor, " t"]) -> Float[Tensor, " w"]:
    """Means of neighbouring values, NaN left out, or values again and again, so that there are ``WIDTH``."""
    edges = [i * len(row) // WIDTH for i in range(WIDTH + 1)]
    return torch.stack([row[a : max(a + 1, b)].nanmean() for a, b in itertools.pairwise(edges)])


def _curves(signal: NDArray[np.float32], values: tuple[float, float]) -> NDArray[np.float32]:
    """A drawing (h, w, 3) in 0..1: the curve of each channel; of long ones the spectrogram of their mean below."""
    canvas = np.ones((HEIGHT, WIDTH, 3), dtype=np.float32)
    has_spectrum = signal.shape[1] >= _LEAST_SPECTRUM
    tall = (HEIGHT // 2 if has_spectrum else HEIGHT) // len(signal)
    for place, row in enumerate(signal):
        _draw_curve(canvas[place * tall : (place + 1) * tall], row, values)
    if has_spectrum:
        canvas[HEIGHT // 2 :] = _spectrogram(signal.mean(axis=0), max(map(abs, values)))
    return canvas


def _draw_curve(canvas: NDArray[np.float32], row: NDArray[np.float32], values: tuple[float, float]) -> None:
    """Fill each column from the least to the largest of its values, and up to the column before it."""
    height, (low, high) = len(canvas), values
    room = _MARGIN * max(high - low, 1e-12)
    edges = np.arange(WIDTH + 1) * len(row) // WIDTH
    parts = [row[a : max(a + 1, b)] for a, b in itertools.pairwise(edges)]

    def place(value: float) -> int:
        share = (value - low + room) / (high - low + 2 * room)
        return int(np.clip(round((1 - share) * (height - 1)), 0, height - 1))

    if low < 0 < high:
        canvas[place(0.0)] = channels_of(GREY)
    before = float(parts[0][0])
    for column, part in enumerate(parts):
        top, bottom = place(max(float(part.max()), before)), place(min(float(part.min()), before))
        canvas[top : bottom + 1, column] = channels_of(BLUE)
        before = float(part[-1])


def _spectrogram(signal: NDArray[np.float32], full_scale: float) -> NDArray[np.float32]:
    """The power of each frequency over time, low ones below, in decibels of a full-scale sine: (h, w, 3)."""
    window = torch.hann_window(_WINDOW, dtype=torch.float32)
    hop = max(1, len(signal) // WIDTH)
    found = torch.stft(torch.from_numpy(signal.copy()), _WINDOW, hop, window=window, return_complex=True).abs()
    level = 20 * (found / (max(full_scale, 1e-12) * float(window.sum()) / 2)).clamp(min=1e-12).log10()
    shares = ((level + _DECIBELS) / _DECIBELS).clamp(0, 1)[None, None]
    resized = torch.nn.functional.interpolate(shares, (HEIGHT - HEIGHT // 2, WIDTH), mode="area")[0, 0]
    return coloured(resized.flip(0).numpy())
