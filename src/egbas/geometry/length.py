# SPDX-License-Identifier: MIT
"""The length of a vector, compiled: for loops that ask it of one vector after another."""

from typing import no_type_check

import numpy as np

from egbas.machine.compiled import compiled


@compiled(is_sum=True)
@no_type_check
def square_length(a):
    """||a||^2 of a vector (d,), in float64."""
    total = 0.0
    for i in range(len(a)):
        total += np.float64(a[i]) * np.float64(a[i])
    return total
