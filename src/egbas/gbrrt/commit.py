# SPDX-License-Identifier: MIT
"""What Algorithm 2 decides of a window of targets, one after another, in one pass.

A target that an earlier one of the window displaced from its nearest node steers anew, and is *open*: its new
candidate has to be tested first. So is one whose candidate was not tested because it would likely be displaced. What
comes after it is decided all the same, unless it hangs on whether that candidate will be added. Where even the
candidate of a target hangs on that, the pass ends.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import NDArray

from egbas.gbrrt.nearness import Points, Ruler, closer, lengths, nearest
from egbas.gbrrt.window import INSIDE, UNKNOWN, Stride, Window


@dataclass(frozen=True, kw_only=True, eq=False)
class Nodes:
    """The tree that a window meets.

    Attributes:
        points: n nodes.
        iterations: (n,) that added them.
    """

    points: Points
    iterations: Int[NDArray[np.int64], " n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """Rows of a window, by what became of them.

    Attributes:
        accepted: rows whose candidates are new nodes, in order.
        outside: rows whose candidates lie outside the region.
        too_close: rows whose candidates lie too close to another node.
        displaced: rows that steered anew.
        parents: for each of those the accepted row whose node is its nearest now.
        is_decided: (w,) all rows of the first three.
    """

    accepted: Int[NDArray[np.int64], " a"]
    outside: Int[NDArray[np.int64], " o"]
    too_close: Int[NDArray[np.int64], " t"]
    displaced: Int[NDArray[np.int64], " s"]
    parents: Int[NDArray[np.int64], " s"]
    is_decided: Bool[NDArray[np.bool_], " w"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Conflicts:
    """What the candidates of earlier rows would do to later ones, if they were added.

    Attributes:
        displaces: (w, w) whether the candidate of the column is nearer to the row's target than its nearest node.
        crowds: (w, w) whether it lies within a step of the row's candidate.
    """

    displaces: Bool[NDArray[np.bool_], "w w"]
    crowds: Bool[NDArray[np.bool_], "w w"]

    @classmethod
    def of(cls, window: Window, stride: Stride) -> "Conflicts":
        """Compare all with all."""
        is_later = np.tri(len(window), k=-1, dtype=bool)
        return cls(
            displaces=closer(window.targets, window.candidates, window.chords) & is_later,
            crowds=closer(window.candidates, window.candidates, stride.spacing) & is_later,
        )

    def worth_testing(self, window: Window, acceptance: float) -> Bool[NDArray[np.bool_], " w"]:
        """Candidates that wait for a verdict and will hardly be displaced before they need it.

        Args:
            window: the targets.
            acceptance: share of the candidates that are expected to lie in the region.
        """
        chance = np.where(window.verdicts == UNKNOWN, acceptance, window.verdicts == INSIDE) * window.is_free
        return window.needs_test() & (self.displaces @ chance < _LIKELY)


_LIKELY = 0.5


def decide(window: Window, conflicts: Conflicts, stride: Stride, ruler: Ruler, nodes: Nodes) -> Decisions:
    """Decide as many targets of a window as can be, and steer those anew that were displaced.

    Args:
        window: the targets. Rows that steer anew get their new candidates.
        conflicts: of the window.
        stride: the step.
        ruler: measures the new candidates.
        nodes: the tree.
    """
    return _Pass(window, conflicts, stride, ruler, nodes).run()


class _Pass:
    """One pass over a window."""

    def __init__(self, window: Window, conflicts: Conflicts, stride: Stride, ruler: Ruler, nodes: Nodes) -> None:
        self.window, self.stride, self.ruler, self.nodes = window, stride, ruler, nodes
        w = len(window)
        self.is_open = np.zeros(w, bool)
        self.is_too_close = ~window.is_free
        is_added = window.is_free & (window.verdicts == INSIDE)
        self.columns = is_added.nonzero()[0]  # rows that add a node, as far as is known
        self.is_alive = np.ones(len(self.columns), bool)  # whether they still do
        self.column = np.full(w, -1)
        self.column[self.columns] = np.arange(len(self.columns))
        self.is_unknown = window.needs_test()
        self.displaces = conflicts.displaces[:, self.columns]  # (w, columns)
        self.crowds = conflicts.crowds[:, self.columns]
        self.touches = self.displaces | self.crowds
        # What an open row may do to later ones, if its candidate is added.
        self.may_displace, self.may_crowd = np.zeros(w, bool), np.zeros(w, bool)
        self.displaced: list[NDArray[np.int64]] = []
        self.parents: list[NDArray[np.int64]] = []

    def run(self) -> Decisions:
        w = len(self.window)
        n_touching = self.touches.sum(axis=1)  # columns that are alive
        row, end = -1, w
        while True:
            is_suspect = (n_touching > 0) | self.may_displace | self.may_crowd | self.is_unknown
            following = is_suspect[row + 1 :].nonzero()[0]
            if not len(following):
                break
            row += 1 + int(following[0])
            if self.may_displace[row]:
                end = row
                break
            if self._is_settled(row):
                continue
            if (column := self.column[row]) >= 0:
                self.is_alive[column] = False
                n_touching -= self.touches[:, column]
        return self._decisions(end)

    def _is_settled(self, row: int) -> bool:
        """Look at a row that others touch; whether it still does what it seemed to do."""
        by = self.columns[self.displaces[row] & self.is_alive]
        if len(by):
            self._steer(np.array([row]), by)
            self._open(row)
            return False
        if (self.crowds[row] & self.is_alive).any():
            self.is_too_close[row] = True
            return False
        if self.is_too_close[row] or not (self.may_crowd[row] or self.is_unknown[row]):
            return True
        self._open(row, may_be_added=bool(self.column[row] >= 0 or self.is_unknown[row]))
        return False

    def _open(self, row: int, *, may_be_added: bool = True) -> None:
        self.is_open[row] = True
        if may_be_added:
            window, after = self.window, slice(row + 1, None)
            candidate = window.candidates[row : row + 1]
            self.may_displace[after] |= closer(window.targets[after], candidate, window.chords[after])[:, 0]
            self.may_crowd[after] |= closer(window.candidates[after], candidate, self.stride.spacing)[:, 0]

    def _steer(self, rows: NDArray[np.int64], by: NDArray[np.int64]) -> None:
        """Let rows step from the nearest of the candidates in the rows ``by``, which are new nodes."""
        window = self.window
        if len(by) == 1:
            parents = by.repeat(len(rows))
            chords = lengths(window.candidates.latents[parents] - window.targets.latents[rows].astype(np.float64))
        else:
            found, chords = nearest(window.targets[rows], window.candidates[by])
            parents = by[found]
        origins = window.candidates.latents[parents]
        latents = self.stride.take(origins, window.targets.latents[rows], chords)
        points, into = self.ruler.points(latents), window.candidates
        into.latents[rows], into.values[rows], into.squares[rows] = latents, points.values, points.squares
        window.chords[rows], window.verdicts[rows] = chords, UNKNOWN
        window.is_free[rows] = (latents != origins).any(axis=1)
        for i in (chords < self.stride.overshoots).nonzero()[0]:
            window.is_free[rows[i]] &= not self._is_crowded(points[i : i + 1], int(rows[i]), int(parents[i]))
        self.displaced.append(rows)
        self.parents.append(parents)

    def _is_crowded(self, candidate: Points, row: int, parent: int) -> bool:
        """Whether a node that is older than the row's target, and not its parent, lies within a step."""
        spacing, nodes = self.stride.spacing, self.nodes
        is_older = nodes.iterations < self.window.iterations[row]
        if (closer(candidate, nodes.points, spacing)[0] & is_older).any():
            return True
        others = self.columns[self.is_alive & (self.columns < row) & (self.columns != parent)]
        return bool(closer(candidate, self.window.candidates[others], spacing).any())

    def _decisions(self, end: int) -> Decisions:
        """Take the rows before ``end`` apart, and let the others see the nodes that these add."""
        is_before = np.arange(len(self.window)) < end
        is_decided = is_before & ~self.is_open
        is_new = self.is_alive & (self.columns < end)
        accepted = self.columns[is_new]
        if end < len(self.window) and len(accepted):
            is_displaced = self.displaces[end:, is_new].any(axis=1)
            rows = end + np.flatnonzero(is_displaced)
            is_crowded = self.crowds[end:, is_new].any(axis=1)
            self.window.is_free[end:] &= ~is_crowded
            if len(rows):
                self.is_alive &= is_new
                self._steer(rows, accepted)
        is_outside = self.window.verdicts != INSIDE
        return Decisions(
            accepted=accepted,
            outside=(is_decided & ~self.is_too_close & is_outside).nonzero()[0],
            too_close=(is_decided & self.is_too_close).nonzero()[0],
            displaced=np.concatenate([np.zeros(0, np.int64), *self.displaced]),
            parents=np.concatenate([np.zeros(0, np.int64), *self.parents]),
            is_decided=is_decided,
        )
