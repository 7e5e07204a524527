# SPDX-License-Identifier: MIT
"""What Algorithm 2 decides of a window of targets, one after another, in one pass.

A target that an earlier one of the window displaced from its nearest node steers anew, and is *open*: its new
candidate has to be tested first. So is one whose candidate was not tested because it would likely be displaced. What
comes after it is decided all the same, unless it hangs on nodes that an open target may yet add. Wherever these may
come to lie there is a *ghost*: at an open candidate, and, where a ghost is nearer to a target than its nearest node, a
step from that ghost towards the target. A target is decided if no ghost is nearer to it than its nearest node, and none
within a step of its candidate.
"""

from typing import no_type_check

import numpy as np

from egbas.geometry.length import square_length
from egbas.geometry.step import advance
from egbas.machine.compiled import compiled
from egbas.samplers.gbrrt.distance import square_distance
from egbas.samplers.gbrrt.tree import OUTSIDE, TOO_CLOSE
from egbas.samplers.gbrrt.window import INSIDE, NOT_INSIDE, UNKNOWN, copy, move, steer

_WAITS, _ACCEPTED = 0, 3  # fates beside the reasons for a rejection
_GHOSTS = 4  # for each target at most; where there are more the pass ends
_LIKELY = 0.5


@compiled()
@no_type_check
def decide(window, n_pending, nodes, n_nodes, rejections, stride):  # noqa: C901  Algorithm 2's cases, in its order
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
    ghosts, n_ghosts = np.empty((_GHOSTS * n_pending, window.targets.shape[1]), window.targets.dtype), 0
    end = n_pending
    for row in range(n_pending):
        target, candidate, verdict = window.targets[row], window.candidates[row], window.verdicts[row]
        before = n_ghosts
        n_ghosts = _add_steps(target, window.squares[row], ghosts, n_ghosts, stride)
        if n_ghosts == len(ghosts):
            end = row
            break
        if window.is_displaced[row]:
            steer(window, row, nodes, n_nodes, stride)
            may_be_added = window.is_free[row]
        elif n_ghosts > before:
            may_be_added = window.is_free[row] and verdict != NOT_INSIDE
        elif not window.is_free[row]:
            fates[row] = TOO_CLOSE
            continue
        elif verdict == UNKNOWN or _is_near(candidate, ghosts[:n_ghosts], spacing):
            may_be_added = verdict != NOT_INSIDE
        elif verdict == INSIDE:
            fates[row] = _ACCEPTED
            add_node(window, row, nodes, n_nodes)
            _meet(window, row, n_pending, n_nodes, stride)
            n_nodes += 1
            continue
        else:
            fates[row] = OUTSIDE
            continue
        if may_be_added:
            copy(candidate, ghosts[n_ghosts])
            n_ghosts += 1
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
def _is_near(latent, others, limit):
    """Whether the squared distance of a latent and one of the others is less than the limit."""
    for other in others:
        if square_distance(latent, other) < limit:
            return True
    return False


@compiled()
@no_type_check
def _add_steps(target, square, ghosts, n_ghosts, stride):
    """Add the steps towards a target from those ghosts that are nearer to it than its nearest node.

    Returns:
        How many ghosts there are now; so many as there is room for: too many.
    """
    n_before = n_ghosts
    for ghost in range(n_before):
        gap = square_distance(target, ghosts[ghost])
        if gap < square:
            if n_ghosts + 1 >= len(ghosts):  # one place is left for the candidate of the row itself
                return len(ghosts)
            advance(ghosts[ghost], target, np.sqrt(gap), stride.length, stride.radius, ghosts[n_ghosts])
            n_ghosts += 1
    return n_ghosts


@compiled()
@no_type_check
def add_node(window, row, nodes, n_nodes):
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
