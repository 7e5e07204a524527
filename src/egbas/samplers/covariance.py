# SPDX-License-Identifier: MIT
"""How a target is stretched, estimated from states of its chains; a kernel may use any estimate and stays exact."""

import numpy as np
from jaxtyping import Float

from egbas.samplers.kernel import Array

_LEAST = 1e-4  # share of the diagonal


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
    d = len(diagonal)  # the diagonal counts as much as 2 d states
    share = max(_LEAST, d / (len(states) / 2 + d))
    return (1 - share) * covariance + share * np.diag(diagonal)
