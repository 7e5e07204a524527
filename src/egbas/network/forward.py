# SPDX-License-Identifier: MIT
"""One checked forward pass: flat latents (n, d) in, images (n, c, h, w) out.

What the network, its head and its tail run; whether gradients are kept is the caller's affair.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from egbas.errors import ShapeError
from egbas.network.conditions import Conditions
from egbas.network.images import Steps, image_of, refuse_nonfinite
from egbas.network.replica import Replica, freeze, frozen_copy
from egbas.network.user_hooks import Key, silenced


@dataclass(frozen=True, kw_only=True, eq=False)
class Forward:
    """A generator and its stand-in, with what they are to be given.

    Attributes:
        generator: the user's module; only read.
        replica: what is run instead of it.
        latent_shape: of one latent as the generator takes it.
        dtype: of what it is given.
        device: of what it is given.
        steps: that lead to the image in what it returns; None: not known yet.
        silent: hooks of the user's that are taken off copies.
    """

    generator: nn.Module
    replica: Replica
    latent_shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    steps: Steps | None = None
    silent: frozenset[Key] = frozenset()

    @property
    def latent_size(self) -> int:
        """d, the number of coordinates of a latent."""
        return math.prod(self.latent_shape)

    @property
    def is_coarse(self) -> bool:
        """Whether float64 is finer than what it computes in."""
        return self.dtype != torch.float64

    @property
    def conditions(self) -> Conditions:
        """What the network is given beside the latents."""
        return self.replica.conditions

    def in_float64(self) -> "Forward":
        """The same of a copy whose weights are in float64; raises whatever the copying of the network does."""
        generator = silenced(frozen_copy(self.generator, torch.float64), self.silent)
        replica = Replica(module=generator, conditions=self.conditions)
        return replace(self, generator=generator, replica=replica, dtype=torch.float64)

    def fresh(self) -> nn.Module:
        """Another copy of the network, which is nobody else's."""
        return silenced(freeze(self.generator).module, self.silent)

    def prepare(self, z: Tensor) -> Tensor:
        """Turn flat latents z (n, d) into (n, *latent_shape): a copy, which the network may overwrite.

        Raises:
            ShapeError: z is not (n, d).
        """
        if z.ndim != 2 or z.shape[1] != self.latent_size:
            raise ShapeError(
                f"the latents have shape {tuple(z.shape)}; expected (n, {self.latent_size}): "
                "one flat latent in each row"
            )
        latents = torch.empty(z.shape, dtype=self.dtype, device=self.device)
        return latents.copy_(z.detach()).reshape(-1, *self.latent_shape)

    def images(self, z: Tensor) -> Tensor:
        """Compute finite images (n, c, h, w) of latents z (n, d): copies, for a network may overwrite what it returned.

        Raises:
            NetworkError: forward raised, or returned no finite images.
        """
        return self.images_in(self.replica(self.prepare(z)), len(z))

    def images_in(self, output: Any, n: int) -> Tensor:
        """The same of what the network has returned for n latents."""
        return refuse_nonfinite(image_of(output, n, self.steps).clone())
