# SPDX-License-Identifier: MIT
"""Algorithm 2 one target after another, where compiled code can tell membership by itself.

That is so where a layer is affine in the latent: then no network has to be asked, and no candidate has to wait. What is
too close to a boundary for the precision of the walls is handed back, and the region decides it.
"""

from typing import no_type_check

from egbas.machine.compiled import compiled
from egbas.region.affine_walls import verdict_of
from egbas.region.halfspaces import INSIDE
from egbas.samplers.gbrrt.decide import add_node
from egbas.samplers.gbrrt.distance import square_distance
from egbas.samplers.gbrrt.tree import OUTSIDE, TOO_CLOSE
from egbas.samplers.gbrrt.window import UNKNOWN, copy, steer


@compiled()
@no_type_check
def decide_in_turn(window, rows, n_nodes, nodes, rejections, n_rejected, stride, walls):  # noqa: PLR0913, PLR0917
    """Decide the targets of a window in order, until the walls cannot tell.

    Args:
        window: the targets, each with its nearest node of those that ``rows`` says it knows.
        rows: the first one to decide, how many there are, and how many nodes each of them has been compared with.
        n_nodes: how many nodes there are.
        nodes: the tree; the accepted candidates are added to it.
        rejections: the rejected candidates are added to it.
        n_rejected: how many it has.
        stride: the step.
        walls: of the region, ``AffineWalls``.

    Returns:
        The first row that is not decided; how many nodes, rejected candidates, and tests of membership.
    """
    row, n_rows, n_known = rows
    n_tests = 0
    while row < n_rows:
        if window.verdicts[row] == UNKNOWN:  # else it was handed back, and has its answer now
            _compare_with_new(window, row, nodes, n_known, n_nodes)
            steer(window, row, nodes, n_nodes, stride)
            if window.is_free[row]:
                n_tests += 1
                verdict = verdict_of(window.candidates[row], walls)
                if verdict > INSIDE:
                    break
                window.verdicts[row] = verdict
        if window.is_free[row] and window.verdicts[row] == INSIDE:
            add_node(window, row, nodes, n_nodes)
            n_nodes += 1
        else:
            rejections.iterations[n_rejected] = window.iterations[row]
            copy(window.candidates[row], rejections.candidates[n_rejected])
            rejections.reasons[n_rejected] = OUTSIDE if window.is_free[row] else TOO_CLOSE
            n_rejected += 1
        row += 1
    return row, n_nodes, n_rejected, n_tests


@compiled()
@no_type_check
def _compare_with_new(window, row, nodes, n_known, n_nodes):
    """Compare a target with the nodes that were added since it was compared with others."""
    target = window.targets[row]
    for node in range(n_known, n_nodes):
        square = square_distance(target, nodes.latents[node])
        if square < window.squares[row]:
            window.nearest[row], window.squares[row] = node, square
