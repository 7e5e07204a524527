# SPDX-License-Identifier: MIT
"""How a target is stretched, estimated from states of its chains; a kernel may use any estimate and stays exact."""

import numpy as np
from jaxtyping import Float

from egbas.samplers.kernel import Array

_WEIGHT = 64.0  # of the diagonal, in states
_LEAST = 0.02  # share of the diagonal


def shrunk_covariance(states: Float[Array, "n d"]) -> Float[Array, "d d"]:
    """Their covariance, shrunk towards its diagonal; positive definite.

    Args:
        states: of all chains, in latent units; the fewer, the more it is shrunk.
    """
    covariance = np.atleast_2d(np.cov(states, rowvar=False))
    diagonal = np.diag(covariance).copy()
    largest = diagonal.max()
    # Chains that have not moved say nothing.
    diagonal = np.maximum(diagonal, 1e-6 * largest) if largest > 0 else np.ones_like(diagonal)
    share = max(_LEAST, _WEIGHT / (len(states) / 2 + _WEIGHT))
    return (1 - share) * covariance + share * np.diag(diagonal)
