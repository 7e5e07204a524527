# SPDX-License-Identifier: MIT
"""The distance that every decision of the tree rests on: of two latents, in float64, from their differences."""

from typing import no_type_check

import numpy as np

from egbas.machine.compiled import compiled


# The order of the sum is the compiler's, so that it runs on vectors; it is one and the same for all who ask.
@compiled(is_sum=True)
@no_type_check
def square_distance(a, b):
    """||a - b||^2 of latents (d,)."""
    total = 0.0
    for i in range(len(a)):
        gap = np.float64(a[i]) - np.float64(b[i])
        total += gap * gap
    return total


@compiled()
@no_type_check
def compare(targets, first, latents, n_nodes, parents, squares):
    """Compare each target with the nodes from its ``first`` one on, and keep a nearer one, the first of several.

    Args:
        targets: (m, d).
        first: (m,) numbers of nodes.
        latents: (n, d) of the nodes.
        n_nodes: how many of these there are.
        parents: (m,) the nearest nodes known so far.
        squares: (m,) their squared distances.
    """
    for row in range(len(targets)):
        for node in range(first[row], n_nodes):
            square = square_distance(targets[row], latents[node])
            if square < squares[row]:
                parents[row], squares[row] = node, square
