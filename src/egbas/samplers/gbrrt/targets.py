# SPDX-License-Identifier: MIT
"""The targets of GB-RRT, in order."""

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.geometry import Geometry

_BLOCK = 256  # rows drawn at once: fixed, so that the stream does not depend on the window


class Targets:
    """The targets z_i, in order, however many are asked for at a time."""

    def __init__(self, geometry: Geometry, half_width: float, n: int, *, rng: torch.Generator) -> None:
        """Prepare to draw n targets up to ``half_width`` around the geometry's query."""
        self.geometry, self.half_width, self.rng = geometry, half_width, rng
        self.n_left = n
        self.buffer: Tensor | None = None

    def draw(self, n: int) -> Float[Tensor, "n d"]:
        """The next n targets, or those that are left."""
        n = min(n, self.n_left)
        while self.buffer is None or len(self.buffer) < n:
            block = self.geometry.targets(_BLOCK, self.half_width, rng=self.rng)
            self.buffer = block if self.buffer is None else torch.cat([self.buffer, block])
        drawn, self.buffer = self.buffer[:n], self.buffer[n:]
        self.n_left -= n
        return drawn
