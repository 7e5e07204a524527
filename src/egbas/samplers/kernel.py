# SPDX-License-Identifier: MIT
"""What a sampler is built on: a Markov kernel, and the question it asks of a region."""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from egbas.region import Region

Array = NDArray[np.float64]
Walls = tuple[Float[Tensor, "k d"], Float[Tensor, " k"]]  # A and b of the region {z: A z + b >= 0}


@runtime_checkable
class LinearRegion(Region, Protocol):
    """A region that may be a polytope."""

    def linear(self) -> Walls | None:
        """A (k, d) and b (k,) in float64, the region being {z: A z + b >= 0}; None where it is not of this form."""
        ...


@runtime_checkable
class Kernel(Protocol):
    """A Markov kernel that leaves a distribution, restricted to a region, as it is; many chains side by side.

    States are float64, on the CPU.
    """

    @property
    def evaluations(self) -> int:
        """Latents whose membership was asked, so far."""
        ...

    def adapt(self, z: Float[Tensor, "chains d"], rng: np.random.Generator) -> Float[Tensor, "chains d"]:
        """Warm up from states that lie inside, and return new ones; afterwards the kernel is fixed."""
        ...

    def draw(self, z: Float[Tensor, "chains d"], n: int, rng: np.random.Generator) -> Float[Tensor, "chains n d"]:
        """The n states after z, in order; fewer, the same number of each chain, where a limit of its own was met."""
        ...


class Membership:
    """Asks a region about latents in numpy's memory, wherever its network is, and counts them."""

    def __init__(self, region: Region, device: torch.device | str = "cpu") -> None:
        """Count from zero."""
        self._region, self._device = region, device
        self.evaluations = 0

    def __call__(self, z: Float[Array, "n d"]) -> Bool[NDArray[np.bool_], " n"]:
        """Say which latents lie in the region."""
        if not len(z):
            return np.zeros(0, np.bool_)
        self.evaluations += len(z)
        return self._region.contains(torch.from_numpy(z).to(self._device)).cpu().numpy()
