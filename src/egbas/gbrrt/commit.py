# SPDX-License-Identifier: MIT
"""What Algorithm 2 decides of a window of targets, one after another, in one pass.

A target that an earlier one of the window displaced from its nearest node steers anew, and is *open*: its new
candidate has to be tested first. So is one whose candidate was not tested because it would likely be displaced. What
comes after it is decided all the same, unless it hangs on whether that candidate will be added. Where even the
candidate of a target hangs on that, the pass ends.
"""

from typing import no_type_check

import numpy as np

from egbas.compiled import compiled
from egbas.gbrrt.distance import square_distance, square_length
from egbas.gbrrt.tree import OUTSIDE, TOO_CLOSE
from egbas.gbrrt.window import INSIDE, NOT_INSIDE, UNKNOWN, copy, move, steer

_WAITS, _ACCEPTED = 0, 3  # fates beside the reasons for a rejection
_LIKELY = 0.5


@compiled()
@no_type_check
def decide(window, n_pending, nodes, n_nodes, rejections, stride):
    """Decide as many pending targets as can be, and steer those anew that were displaced.

    Args:
        window: the pending targets, of which there are ``n_pending``; those that wait on stay, in order.
        n_pending: so many.
        nodes: the tree; the accepted candidates are added to it.
        n_nodes: so many.
        rejections: the rejected candidates are written to it, from its start.
        stride: the step.

    Returns:
        How many targets wait now, how many nodes there are now, how many candidates were rejected.
    """
    fates = np.zeros(n_pending, np.int8)
    spacing = stride.spacing * stride.spacing
    open_rows, n_open = np.empty(n_pending, np.int64), 0
    end = n_pending
    for row in range(n_pending):
        opened = open_rows[:n_open]
        if _is_near(window.targets[row], window.candidates, opened, window.squares[row]):
            end = row
            break
        if window.is_displaced[row]:
            steer(window, row, nodes, n_nodes, stride)
            may_be_added = window.is_free[row]
        elif not window.is_free[row]:
            fates[row] = TOO_CLOSE
            continue
        elif window.verdicts[row] == UNKNOWN or _is_near(window.candidates[row], window.candidates, opened, spacing):
            may_be_added = window.verdicts[row] != NOT_INSIDE
        elif window.verdicts[row] == INSIDE:
            fates[row] = _ACCEPTED
            _add(window, row, nodes, n_nodes)
            _meet(window, row, n_pending, n_nodes, stride)
            n_nodes += 1
            continue
        else:
            fates[row] = OUTSIDE
            continue
        if may_be_added:
            open_rows[n_open] = row
            n_open += 1
    for row in range(end, n_pending):
        if window.is_displaced[row]:
            steer(window, row, nodes, n_nodes, stride)
    n_waiting, n_rejected = _sort_out(window, fates, rejections)
    return n_waiting, n_nodes, n_rejected


@compiled()
@no_type_check
def choose(window, n_pending, acceptance, rows):
    """Choose the candidates to test: those that wait for a verdict and will hardly be displaced before they need it.

    Args:
        window: the pending targets, of which there are ``n_pending``.
        n_pending: so many.
        acceptance: share of the candidates that are expected to lie in the region; 0: test all that wait.
        rows: (w,) for the rows that are chosen.

    Returns:
        How many are chosen.
    """
    n_chosen = 0
    for row in range(n_pending):
        if not window.is_free[row] or window.verdicts[row] != UNKNOWN:
            continue
        chance, limit = 0.0, window.squares[row]
        for earlier in range(row if acceptance > 0 else 0):
            if window.is_free[earlier] and window.verdicts[earlier] != NOT_INSIDE and chance < _LIKELY:
                if square_distance(window.targets[row], window.candidates[earlier]) < limit:
                    chance += acceptance if window.verdicts[earlier] == UNKNOWN else 1.0
        if chance < _LIKELY:
            rows[n_chosen] = row
            n_chosen += 1
    return n_chosen


@compiled()
@no_type_check
def _is_near(latent, candidates, rows, limit):
    """Whether the squared distance of a latent and a candidate in one of the rows is less than the limit."""
    for row in rows:
        if square_distance(latent, candidates[row]) < limit:
            return True
    return False


@compiled()
@no_type_check
def _add(window, row, nodes, n_nodes):
    """Make a candidate the next node."""
    candidate = window.candidates[row]
    copy(candidate, nodes.latents[n_nodes])
    nodes.squares[n_nodes] = square_length(candidate)
    nodes.parents[n_nodes] = window.nearest[row]
    nodes.iterations[n_nodes] = window.iterations[row]


@compiled()
@no_type_check
def _meet(window, row, n_pending, node, stride):
    """Tell all later targets of the node that the candidate of a row has become."""
    candidate, spacing = window.candidates[row], stride.spacing * stride.spacing
    for later in range(row + 1, n_pending):
        square = square_distance(window.targets[later], candidate)
        if square < window.squares[later]:
            window.nearest[later], window.squares[later] = node, square
            window.is_displaced[later] = True
        elif window.is_free[later] and square_distance(window.candidates[later], candidate) < spacing:
            window.is_free[later] = False


@compiled()
@no_type_check
def _sort_out(window, fates, rejections):
    """Move the rows that wait to the front, and the rejected candidates out."""
    n_waiting = n_rejected = 0
    for row in range(len(fates)):
        if fates[row] == _WAITS:
            if n_waiting < row:
                move(window, row, n_waiting)
            n_waiting += 1
        elif fates[row] != _ACCEPTED:
            rejections.iterations[n_rejected] = window.iterations[row]
            copy(window.candidates[row], rejections.candidates[n_rejected])
            rejections.reasons[n_rejected] = fates[row]
            n_rejected += 1
    return n_waiting, n_rejected
