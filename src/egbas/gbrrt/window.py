# SPDX-License-Identifier: MIT
"""The pending targets of GB-RRT, and how each steps from its nearest node."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray

from egbas.gbrrt.nearness import Array, Points, Ruler
from egbas.geometry import Geometry

UNKNOWN, NOT_INSIDE, INSIDE = -1, 0, 1  # verdicts on a candidate


class Stride:
    """A step of GB-RRT: how to take it, and how far apart nodes have to be."""

    def __init__(self, geometry: Geometry, length: float) -> None:
        """Prepare steps of a length, in latent units."""
        self.geometry, self.length = geometry, length
        self.spacing = geometry.chord(length)
        # Where the target is farther than this from its nearest node, the candidate lies on the way to it, and no
        # other node is within a step of the candidate: by the triangle inequality that node were the nearest.
        self.overshoots = 1.01 * self.spacing

    def take(self, origins: Array, targets: Array, chords: Array) -> Array:
        """Candidates (n, d), a step from each origin towards its target."""
        origins_, targets_ = torch.from_numpy(origins), torch.from_numpy(targets)
        steps = self.geometry.step(origins_, targets_, torch.from_numpy(chords).to(origins_), self.length)
        return steps.numpy()


@dataclass(kw_only=True)
class Window:
    """The pending targets in order, each with its nearest node, its candidate and what is known of it."""

    iterations: NDArray[np.int64]  # (w,) number of the target
    targets: Points  # w
    nearest: NDArray[np.int64]  # (w,) index of the nearest node
    chords: NDArray[np.float64]  # (w,) to the nearest node
    candidates: Points  # w
    is_free: NDArray[np.bool_]  # (w,) no node but the nearest lies within the step size of the candidate
    verdicts: NDArray[np.int8]  # (w,) unknown, outside, inside

    def __len__(self) -> int:
        """How many targets wait."""
        return len(self.iterations)

    @classmethod
    def empty(cls, ruler: Ruler, query: Array) -> "Window":
        """A window without targets."""
        nobody = ruler.points(query[None][:0])
        return cls(
            iterations=np.zeros(0, np.int64),
            targets=nobody,
            nearest=np.zeros(0, np.int64),
            chords=np.zeros(0),
            candidates=nobody,
            is_free=np.zeros(0, bool),
            verdicts=np.zeros(0, np.int8),
        )

    def needs_test(self) -> Bool[NDArray[np.bool_], " w"]:
        """Say which candidates wait for the region's verdict."""
        return self.is_free & (self.verdicts == UNKNOWN)

    def joined(self, other: "Window") -> "Window":
        """These targets, then those."""
        mine, its = vars(self), vars(other)
        return Window(
            targets=self.targets.joined(other.targets),
            candidates=self.candidates.joined(other.candidates),
            **{name: np.concatenate([mine[name], its[name]]) for name in _PLAIN},
        )

    def chosen(self, rows: Bool[NDArray[np.bool_], " w"]) -> "Window":
        """Some of the targets."""
        mine = vars(self)
        return Window(
            targets=self.targets[rows],
            candidates=self.candidates[rows],
            **{name: mine[name][rows] for name in _PLAIN},
        )


_PLAIN = [field.name for field in fields(Window) if field.name not in ("targets", "candidates")]
