# SPDX-License-Identifier: MIT
"""What reflections need of a region: its constraints, if it has any, by what the region is.

A supporting region has those of its kept units; an intersection has those of all its regions; a region of the user's
own may have a method ``constraints()``. A region that is only a ``contains`` has none.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from egbas.region import Intersection, Region, SupportingRegion
from egbas.region.constraints import Constraints, JoinedConstraints
from egbas.region.stem_constraints import constraints_of
from egbas.samplers.independence import has_leaps
from egbas.samplers.kernel import Kernel
from egbas.samplers.mass import prior_draws
from egbas.samplers.normal_box import NormalBox, NormalConstraints, NormalKernel, NormalRegion, is_wide
from egbas.samplers.reflection import ReflectionConfig, ReflectionKernel
from egbas.samplers.starts import descend
from egbas.samplers.target import Density, Gaussian, Target

_N_PROBES = 256  # draws of the target, of which the scale of each margin is the deviation


def constraints_for(region: Region, target: Target) -> Constraints | None:
    """The constraints of a region, their margins scaled by their deviation under the target.

    None where it has none, or where the target is a density: no flow is known that leaves one as it is.
    """
    if isinstance(target, Density):
        return None
    return _constraints(region, prior_draws(target, _N_PROBES, np.random.default_rng(0)))


def _constraints(region: Region, probes: Float[Tensor, "n d"]) -> Constraints | None:
    if isinstance(region, SupportingRegion):
        return constraints_of(region, probes)
    if isinstance(region, Intersection):
        parts = [_constraints(part, probes) for part in region.regions]
        known = [part for part in parts if part is not None]
        return JoinedConstraints(parts=known) if len(known) == len(parts) else None
    own: Callable[[], Constraints | None] | None = getattr(region, "constraints", None)
    return None if own is None else own()


class Reflections:
    """Kernels and starts for regions that have constraints, which are made once for each region and target."""

    def __init__(self, config: ReflectionConfig | None = None, *, always: bool = False) -> None:
        """Take the settings of the kernels.

        Args:
            config: those of all kernels.
            always: whether reflections are offered also in few dimensions, where leaps of hit-and-run do better.
        """
        self._config, self._always = config or ReflectionConfig(), always
        self._made: tuple[Region, Target, Constraints | None] | None = None

    def kernel(self, region: Region, target: Target, most: int) -> Kernel | None:
        """A kernel that reflects at the boundaries of a region; None where it has no constraints, or few dimensions.

        Args:
            region: to stay in.
            target: that is restricted to it.
            most: latents that it may ask about.
        """
        constraints = None if has_leaps(target) and not self._always else self._of(region, target)
        if constraints is None:
            return None
        config = replace(self._config, most=most)
        if not is_wide(target):
            return ReflectionKernel(region, constraints, target, config)
        coordinates = NormalBox(target)
        within = NormalRegion(region, coordinates)
        inner = ReflectionKernel(within, NormalConstraints(constraints, coordinates), Gaussian(target.d), config)
        return NormalKernel(inner, within)

    def starts(self, region: Region, target: Target, z: Float[Tensor, "n d"]) -> Float[Tensor, "m d"]:
        """Latents brought into a region by descent; none where it has no constraints."""
        constraints = self._of(region, target)
        if constraints is None or not is_wide(target):
            return z[:0] if constraints is None else descend(region, constraints, z.float(), target).latents
        coordinates = NormalBox(target)
        walls = NormalConstraints(constraints, coordinates)
        u = descend(NormalRegion(region, coordinates), walls, coordinates.into(z), Gaussian(target.d)).latents
        return coordinates.out(u)

    def _of(self, region: Region, target: Target) -> Constraints | None:
        if self._made is None or self._made[0] is not region or self._made[1] is not target:
            self._made = region, target, constraints_for(region, target)
        return self._made[2]
