# SPDX-License-Identifier: MIT
"""The intersection of regions: latents that lie in all of them, such as the supporting regions of several layers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.region.contract import Region


@dataclass(frozen=True, eq=False)
class Intersection:
    """What several regions have in common (Jeon et al. 2020, Definition 3, over more than one layer).

    Attributes:
        regions: at least one, of the same latent space.

    Example:
        >>> import egbas, torch
        >>> class Below:
        ...     def __init__(self, bound): self.bound = bound
        ...     def contains(self, z): return z[:, 0] < self.bound
        >>> egbas.Intersection([Below(2.0), Below(1.0)]).contains(torch.tensor([[0.5], [1.5]])).tolist()
        [True, False]
    """

    regions: Sequence[Region]

    def __post_init__(self) -> None:
        """Check the regions.

        Raises:
            ConfigError: there is none, or one is no region.
        """
        if not self.regions:
            raise ConfigError("got an intersection of no regions; expected at least one")
        for region in self.regions:
            if not isinstance(region, Region):
                raise ConfigError(f"got {type(region).__name__} as a region; expected an object with contains(z)")

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Say which latents lie in all regions; each region is asked about those that the ones before it contain."""
        inside = torch.ones(len(z), dtype=torch.bool, device=z.device)
        for region in self.regions:
            left = inside.nonzero()[:, 0]
            if not len(left):
                break
            inside[left] = region.contains(z[left])
        return inside

    def linear(self) -> tuple[Tensor, Tensor] | None:
        """A (k, d) and b (k,) of the polytope A z + b >= 0, in float64; None where one region is none."""
        walls = [linear() for region in self.regions if (linear := getattr(region, "linear", None)) is not None]
        known = [each for each in walls if each is not None]
        if len(known) < len(self.regions):
            return None
        return torch.cat([a for a, _ in known]), torch.cat([b for _, b in known])

    @property
    def margin(self) -> Callable[[Tensor], Tensor] | None:
        """Smallest margin over all regions, (n, d) to (n,) in float64; None where one of them tells none."""
        margins = [margin for region in self.regions if (margin := getattr(region, "margin", None)) is not None]
        if len(margins) < len(self.regions):
            return None
        return lambda z: torch.stack([margin(z).double() for margin in margins]).amin(dim=0)


def parts_of(region: Region) -> Sequence[Region]:
    """The regions that an intersection is of, and those of these; a region itself where it is none."""
    if not isinstance(region, Intersection):
        return [region]
    return [inner for part in region.regions for inner in parts_of(part)]
