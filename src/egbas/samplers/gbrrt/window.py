# SPDX-License-Identifier: MIT
"""What the compiled loop of GB-RRT works on: the nodes, the pending targets, the rejected candidates, the step.

Plain arrays with room for all there may be; how many rows are in use is told beside them.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int, Int8
from numpy.typing import NDArray

from egbas.geometry import Geometry
from egbas.geometry.step import advance
from egbas.machine.compiled import compiled
from egbas.samplers.gbrrt.distance import square_distance
from egbas.samplers.gbrrt.kd_trees import Array, KdTrees, is_any_within, n_sorted

SORTED = 8  # coordinates; with more of them k-d trees skip too little
UNKNOWN, NOT_INSIDE, INSIDE = -1, 0, 1  # verdicts on a candidate


class Stride(NamedTuple):
    """A step of GB-RRT.

    Attributes:
        length: delta, in latent units.
        spacing: how far apart nodes have to be: the chord of delta.
        overshoots: where the target is farther than this from its nearest node, the candidate lies on the way to it,
            and no other node is within a step of the candidate: by the triangle inequality that node were the nearest.
        radius: of the sphere, 0 where the space is flat.
    """

    length: float
    spacing: float
    overshoots: float
    radius: float

    @classmethod
    def of(cls, geometry: Geometry, length: float) -> "Stride":
        """Prepare steps of a length, in latent units."""
        spacing = geometry.chord(length)
        return cls(length=length, spacing=spacing, overshoots=1.01 * spacing, radius=geometry.radius)


class Nodes(NamedTuple):
    """The tree, in the order in which nodes were committed."""

    latents: Float[Array, "n d"]
    squares: Float[Array, " n"]  # of their lengths
    parents: Int[NDArray[np.int64], " n"]
    iterations: Int[NDArray[np.int64], " n"]  # that added them
    trees: KdTrees  # of the first ones, in few dimensions; none in many

    @classmethod
    def empty(cls, n: int, query: Array) -> "Nodes":
        """Room for n nodes."""
        numbers, d = np.zeros(n, np.int64), len(query)
        trees = KdTrees.empty(n if d <= SORTED else 0, query)
        return cls(np.empty((n, d), query.dtype), np.empty(n, query.dtype), numbers, numbers.copy(), trees)

    def first(self, n: int) -> "Nodes":
        """The first n of them."""
        return Nodes(self.latents[:n], self.squares[:n], self.parents[:n], self.iterations[:n], self.trees)


class Window(NamedTuple):
    """The pending targets in order, each with its nearest node, its candidate and what is known of it."""

    iterations: Int[NDArray[np.int64], " w"]  # number of the target
    targets: Float[Array, "w d"]
    nearest: Int[NDArray[np.int64], " w"]  # index of the nearest node
    squares: Float[NDArray[np.float64], " w"]  # of the chords to the nearest nodes
    is_displaced: Bool[NDArray[np.bool_], " w"]  # the nearest node is newer than the candidate
    candidates: Float[Array, "w d"]
    is_free: Bool[NDArray[np.bool_], " w"]  # no node but the nearest lies within the step size of the candidate
    verdicts: Int8[NDArray[np.int8], " w"]  # unknown, outside, inside

    @classmethod
    def empty(cls, n: int, query: Array) -> "Window":
        """Room for n targets."""
        numbers, flags, latents = np.zeros(n, np.int64), np.zeros(n, np.bool_), np.zeros((n, len(query)), query.dtype)
        return cls(
            iterations=numbers,
            targets=latents,
            nearest=numbers.copy(),
            squares=np.zeros(n),
            is_displaced=flags,
            candidates=latents.copy(),
            is_free=flags.copy(),
            verdicts=np.zeros(n, np.int8),
        )


class Rejections(NamedTuple):
    """Candidates that were not added, with the reason."""

    iterations: Int[NDArray[np.int64], " r"]
    candidates: Float[Array, "r d"]
    reasons: Int8[NDArray[np.int8], " r"]

    @classmethod
    def empty(cls, n: int, query: Array) -> "Rejections":
        """Room for n of them."""
        return cls(np.zeros(n, np.int64), np.zeros((n, len(query)), query.dtype), np.zeros(n, np.int8))

    def first(self, n: int) -> "Rejections":
        """A copy of the first n of them."""
        return Rejections(self.iterations[:n].copy(), self.candidates[:n].copy(), self.reasons[:n].copy())


@compiled()
@no_type_check
def admit(  # noqa: PLR0913, PLR0917
    window, n_pending, targets, first, parents, squares, nodes, n_nodes, stride
):
    """Let new targets (m, d), whose numbers start with ``first``, wait behind the others.

    Args:
        window: the pending targets, of which there are ``n_pending``.
        n_pending: so many.
        targets: (m, d) the new ones.
        first: number of the first of them.
        parents: (m,) their nearest nodes.
        squares: (m,) of the chords to these.
        nodes: the tree; all its nodes are older.
        n_nodes: so many.
        stride: the step.
    """
    for k in range(len(targets)):
        row = n_pending + k
        window.iterations[row] = first + k
        copy(targets[k], window.targets[row])
        window.nearest[row] = parents[k]
        window.squares[row] = squares[k]
        steer(window, row, nodes, n_nodes, stride)


@compiled()
@no_type_check
def steer(window, row, nodes, n_nodes, stride):
    """Step from the nearest node of a row towards its target, and see whether the place is free."""
    parent, candidate = window.nearest[row], window.candidates[row]
    origin = nodes.latents[parent]
    chord = np.sqrt(window.squares[row])
    advance(origin, window.targets[row], chord, stride.length, stride.radius, candidate)
    window.is_displaced[row] = False
    window.verdicts[row] = UNKNOWN
    # A target that is a node gives no direction: its candidate stays on that node and is too close.
    window.is_free[row] = square_distance(candidate, origin) > 0
    if window.is_free[row] and chord < stride.overshoots:
        # Deviation from paper: read literally the spacing test never holds, for the parent lies at step_size.
        limit = stride.spacing * stride.spacing
        has_trees = nodes.trees.n_trees[0] > 0  # most have none, and nothing is asked then
        if has_trees and is_any_within(nodes.trees, candidate, limit, parent, window.iterations[row], nodes.iterations):
            window.is_free[row] = False
            return
        for node in range(n_sorted(nodes.trees), n_nodes):
            is_older = nodes.iterations[node] < window.iterations[row]
            if is_older and node != parent and square_distance(candidate, nodes.latents[node]) < limit:
                window.is_free[row] = False
                break


@compiled()
@no_type_check
def copy(source, to):
    """Copy a latent."""
    for i in range(len(source)):
        to[i] = source[i]


@compiled()
@no_type_check
def move(window, row, to):
    """Move a row of the window to another place."""
    window.iterations[to] = window.iterations[row]
    copy(window.targets[row], window.targets[to])
    window.nearest[to] = window.nearest[row]
    window.squares[to] = window.squares[row]
    window.is_displaced[to] = window.is_displaced[row]
    copy(window.candidates[row], window.candidates[to])
    window.is_free[to] = window.is_free[row]
    window.verdicts[to] = window.verdicts[row]
