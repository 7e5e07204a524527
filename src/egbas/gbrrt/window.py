# SPDX-License-Identifier: MIT
"""The pending targets of GB-RRT, and which of them a new node displaces or crowds."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from egbas.geometry import Geometry

UNKNOWN, OUTSIDE, INSIDE = -1, 0, 1  # verdicts on a candidate


class Stride:
    """A step of GB-RRT: how to take it, and how far apart nodes have to be."""

    def __init__(self, geometry: Geometry, length: float) -> None:
        """Prepare steps of a length, in latent units."""
        self.geometry, self.length = geometry, length
        self.spacing = geometry.chord(length)


@dataclass(kw_only=True)
class Window:
    """The pending targets in order, each with its nearest node, its candidate and what is known of it."""

    targets: Tensor  # (w, d)
    nearest: Tensor  # (w,) index of the nearest node
    chords: Tensor  # (w,) to the nearest node
    candidates: Tensor  # (w, d)
    is_free: Tensor  # (w,) bool: no node but the nearest lies within the step size of the candidate
    verdicts: Tensor  # (w,) int8: unknown, outside, inside

    def __len__(self) -> int:
        """How many targets wait."""
        return len(self.targets)

    @classmethod
    def empty(cls, z0: Float[Tensor, " d"]) -> "Window":
        """A window without targets, of the query's dtype and device."""

        def zeros(dtype: torch.dtype) -> Tensor:
            return torch.zeros(0, dtype=dtype, device=z0.device)

        points = z0.new_zeros(0, z0.numel())
        return cls(
            targets=points,
            nearest=zeros(torch.int64),
            chords=zeros(z0.dtype),
            candidates=points,
            is_free=zeros(torch.bool),
            verdicts=zeros(torch.int8),
        )

    def needs_test(self) -> Bool[Tensor, " w"]:
        """Say which candidates wait for the region's verdict."""
        return self.is_free & (self.verdicts == UNKNOWN)

    def extended(self, targets: Tensor, nodes: Float[Tensor, "n d"], stride: Stride) -> "Window":
        """Steer to more targets from the tree's nodes."""
        chords, nearest = chord(targets, nodes).min(dim=1)
        new = _steered(targets, nearest, chords, nodes, stride)
        return Window(**{name: torch.cat([getattr(self, name), getattr(new, name)]) for name in vars(self)})

    def conflicts(self, stride: Stride) -> tuple[np.ndarray, np.ndarray]:
        """For every pair i, j: would adding candidate j displace i's nearest node, or crowd i's candidate."""
        displaces = chord(self.targets, self.candidates) < self.chords[:, None]
        crowds = chord(self.candidates, self.candidates) < stride.spacing
        return displaces.cpu().numpy(), crowds.cpu().numpy()

    def advanced(self, n_decided: int, added: Tensor, nodes: Tensor, stride: Stride) -> "Window":
        """Drop the decided targets and let the others see the nodes added since."""
        rest = Window(**{name: value[n_decided:].clone() for name, value in vars(self).items()})
        if not len(rest) or not len(added):
            return rest
        chords, nearest = chord(rest.targets, added).min(dim=1)
        is_displaced = chords < rest.chords
        is_crowded = (chord(rest.candidates, added) < stride.spacing).any(dim=1)
        rest.is_free &= ~is_crowded
        if bool(is_displaced.any()):
            first_added = len(nodes) - len(added)
            new = _steered(
                rest.targets[is_displaced],
                nearest[is_displaced] + first_added,
                chords[is_displaced],
                nodes,
                stride,
            )
            for name, value in vars(new).items():
                getattr(rest, name)[is_displaced] = value
        return rest


def chord(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Straight distances, each computed from its own two points: no cancellation, no dependence on the batch."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _steered(
    targets: Float[Tensor, "w d"],
    nearest: Int[Tensor, " w"],
    chords: Float[Tensor, " w"],
    nodes: Float[Tensor, "n d"],
    stride: Stride,
) -> Window:
    """Step from each target's nearest node towards it, and look whether the place is free."""
    origins = nodes[nearest]
    candidates = stride.geometry.step(origins, targets, chords, stride.length)
    # A target that is a node gives no direction: its candidate stays on that node and is too close.
    is_degenerate = (candidates == origins).all(dim=1)
    to_nodes = chord(candidates, nodes)
    # Deviation from paper: read literally the spacing test never holds, since the parent itself lies at step_size.
    to_nodes.scatter_(1, nearest[:, None], torch.inf)
    return Window(
        targets=targets,
        nearest=nearest,
        chords=chords,
        candidates=candidates,
        is_free=(to_nodes >= stride.spacing).all(dim=1) & ~is_degenerate,
        verdicts=torch.full_like(nearest, UNKNOWN, dtype=torch.int8),
    )
