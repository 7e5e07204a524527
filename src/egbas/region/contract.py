# SPDX-License-Identifier: MIT
"""What a region of the latent space is to everything that works in one: an answer to "does z lie in it?".

``contains`` is all that a region needs. What else a region can tell makes work faster or its evidence stronger, and
is asked for only where it is there.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Region(Protocol):
    """A set of latents, by the one question that every sampler asks.

    A region may also have

    - ``margin(z)``, (n, d) to (n,): at least zero inside, below zero outside, computed as exactly as the region can;
    - ``linear()``: (A (k, d), b (k,)) in float64 of a polytope A z + b >= 0; None where it is none;
    - ``constraints()``: margins of all that bounds it, and their gradients (``egbas.region.constraints``); None where
      there are none.

    Example:
        >>> import egbas, torch
        >>> class Ball:
        ...     def contains(self, z):
        ...         return z.norm(dim=1) < 2
        >>> isinstance(Ball(), egbas.Region)
        True
    """

    def contains(self, z: Tensor) -> Tensor:
        """Say which latents (n, d) lie in the region: bool (n,)."""
        ...
