# SPDX-License-Identifier: MIT
"""GB-RRT behind the contract of samplers: settings that are None follow the region, then the tree grows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.geometry import geometry_around
from egbas.latent import LatentSpaceLike
from egbas.region import Region
from egbas.samplers.gbrrt.config import GbRrtConfig
from egbas.samplers.gbrrt.extent import with_automatic
from egbas.samplers.gbrrt.growth import Growth, Progress
from egbas.samplers.gbrrt.many import grow_many
from egbas.samplers.gbrrt.tree import Tree


@dataclass(frozen=True)
class TreeSampler:
    """A sampler that grows a tree from the query (Jeon et al. 2020, Algorithm 2).

    Attributes:
        config: the settings; None: all by default. A step size and a half-width that are None follow the region.
        name: what the samples are called in an exploration.

    Example:
        >>> import torch
        >>> from egbas import GbRrtConfig, LatentSpace
        >>> class Ball:
        ...     def contains(self, z):
        ...         return z.norm(dim=1) < 2
        >>> sampler, rng = TreeSampler(GbRrtConfig(iterations=100)), torch.Generator().manual_seed(0)
        >>> tree = sampler.sample(Ball(), torch.zeros(3), LatentSpace(shape=(3,)), rng)
        >>> tree.iterations, bool((tree.latents.norm(dim=1) < 2).all())
        (100, True)
    """

    config: GbRrtConfig | None = None
    name: str = "tree"

    def sample(
        self,
        region: Region,
        start: Float[Tensor, " d"],
        latent: LatentSpaceLike,
        rng: torch.Generator,
        progress: Progress | None = None,
    ) -> Tree:
        """Grow a tree in a region.

        Args:
            region: to stay in; its ``contains`` is all that is asked.
            start: (d,) a latent in it: the query. Its dtype is the tree's.
            latent: the latent space; its geometry is the tree's, and it bounds the automatic half-width.
            rng: a CPU generator; the targets come from it, and nothing else.
            progress: called with (iterations done, all iterations, text).

        Raises:
            ConfigError: the step size is too small or too large for the space.
        """
        return self.sample_many([region], [start], latent, [rng], progress)[0]

    def sample_many(
        self,
        regions: Sequence[Region],
        starts: Sequence[Float[Tensor, " d"]],
        latent: LatentSpaceLike,
        rngs: Sequence[torch.Generator],
        progress: Progress | None = None,
    ) -> list[Tree]:
        """Grow a tree in each region, side by side; each is the one that ``sample`` grows.

        Args:
            regions: as for ``sample``; those of one layer share their forward passes.
            starts: one for each region.
            latent: as for ``sample``.
            rngs: one for each region.
            progress: called with (iterations done, all iterations, text), over all trees.
        """
        settings, growths = self.config or GbRrtConfig(), []
        for region, start, rng in zip(regions, starts, rngs, strict=True):
            geometry, largest = geometry_around(latent, start), latent.largest_half_width
            config = with_automatic(settings, start, region, largest_half_width=largest, geometry=geometry)
            growths.append(Growth(start, config, rng=rng, geometry=geometry))
        return grow_many(growths, regions, progress=progress)
