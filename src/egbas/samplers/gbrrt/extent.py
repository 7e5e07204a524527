# SPDX-License-Identifier: MIT
"""Step size and half-width where the user gives none: both from the extent of the region around the query."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.geometry import Flat, Geometry
from egbas.region import Region
from egbas.samplers.gbrrt.config import GbRrtConfig

_LEAST_STEPS_OF_ROUNDING = 1000  # edges then have the step size to a tenth of a percent
_N_RAYS, _N_DOUBLINGS, _N_BISECTIONS = 32, 10, 4
_ITERATIONS_PER_CELL = 9  # of side delta, in the disc of radius r


def with_automatic(
    config: GbRrtConfig,
    z0: Float[Tensor, " d"],
    region: Region,
    *,
    largest_half_width: float,
    geometry: Geometry | None = None,
) -> GbRrtConfig:
    """Choose step_size and half_width, where they are None, from the extent of the region around the query.

    Straight lines from the query (great circles on a sphere), in 32 directions that are the same in every run,
    leave the region at distances whose median is r and whose largest is R.

    half_width I = R, so that in two dimensions the targets fill the region and little more. In a much larger box nearly
    every target lies beyond the region, and the tree is four arms to the corners of the box. In d dimensions targets in
    that box lie typically at R sqrt(d / 3); on a sphere, where a cap has its targets at its rim, I is that distance.

    step_size delta = r / (1 + (N/9)^(1/d)) for N iterations in d dimensions: in 2 dimensions about N/5 nodes that far
    apart fill a disc of radius r, which leaves enough candidates to reach all of its border; in 64 or 512, two steps
    lead from the query to the boundaries. A sphere in d dimensions has d - 1 of its own, and steps go an eighth of the
    way around at most: it has room for few nodes that are much further apart. It is never less than what the rounding
    of latents allows.

    Args:
        config: the settings.
        z0: the query; it lies in the region.
        region: tells which latents may be added.
        largest_half_width: bound on I, from the latent space, in latent units; no line is followed beyond it
            or the typical distance of a target in that box, I sqrt(d / 3).
        geometry: the space around the query; None: flat.
    """
    if config.step_size is not None and config.half_width is not None:
        return config
    geometry = geometry or Flat(z0)
    largest = geometry.limit(largest_half_width)
    exits = exit_distances(region, z0, far=geometry.far(config.half_width or largest), geometry=geometry)
    half_width = config.half_width or min(largest, geometry.half_width(exits.max().item()))
    step_size = exits.median().item() / (1 + (config.iterations / _ITERATIONS_PER_CELL) ** (1 / geometry.dimensions))
    step_size = min(step_size, geometry.largest_step)
    least = smallest_step(geometry, half_width, z0.dtype)
    return replace(config, half_width=half_width, step_size=config.step_size or max(step_size, least))


def smallest_step(geometry: Geometry, half_width: float, dtype: torch.dtype) -> float:
    """The least step size that the rounding of latents allows, in latent units."""
    return _LEAST_STEPS_OF_ROUNDING * geometry.rounding(half_width, dtype)


def check_step_size(config: GbRrtConfig, geometry: Geometry, dtype: torch.dtype) -> None:
    """Refuse a step size that no tree of the space can have; where there is no half-width yet, whatever that will be.

    Raises:
        ConfigError: the step size is given, and is too small or too large for the space.
    """
    if config.step_size is None:
        return
    if geometry.limit(config.step_size) < config.step_size:
        raise ConfigError(
            f"a step size of {config.step_size:.3g} is more than the largest distance on a {geometry.description}, "
            f"{geometry.limit(config.step_size):.3g}; lower it"
        )
    least = smallest_step(geometry, config.half_width or 0.0, dtype)
    if config.step_size < least:
        raise ConfigError(
            f"a step size of {config.step_size:.3g} is lost in the rounding of {dtype} latents; expected at "
            f"least {least:.2g}: raise it, or use a network in float64"
        )


def step_and_half_width(config: GbRrtConfig, geometry: Geometry, dtype: torch.dtype) -> tuple[float, float]:
    """Step size and half-width, where both are given and the space has room and precision for them.

    Raises:
        ConfigError: one of them is None, or the step size is too small or too large for the space.
    """
    if config.step_size is None or config.half_width is None:
        raise ConfigError("GB-RRT needs a step_size and a half_width; egbas.explore chooses them where they are None")
    check_step_size(config, geometry, dtype)
    return config.step_size, geometry.limit(config.half_width)


def exit_distances(
    region: Region, z0: Float[Tensor, " d"], *, far: float, geometry: Geometry | None = None
) -> Float[Tensor, " rays"]:
    """Distances at which straight lines from z0 leave the region, ``far`` at most; within about 6 %."""
    geometry = geometry or Flat(z0)
    rng = torch.Generator().manual_seed(0)
    directions = geometry.directions(torch.randn(_N_RAYS, z0.numel(), generator=rng, dtype=torch.float32)).to(z0)
    reached = torch.cat([z0.new_zeros(1), far / 2 ** torch.arange(_N_DOUBLINGS, -1, -1).to(z0)])  # (r,) rising
    points = geometry.around(reached[1:, None, None] * directions)  # (r - 1, rays, d)
    is_inside = region.contains(points.flatten(0, 1)).view(points.shape[:2])
    n_inside = is_inside.cummin(dim=0).values.sum(dim=0)  # (rays,) before a line is outside for the first time
    inside = reached[n_inside]
    outside = reached[(n_inside + 1).clamp(max=len(reached) - 1)]
    for _ in range(_N_BISECTIONS):
        middle = (inside + outside) / 2
        is_inside = region.contains(geometry.around(middle[:, None] * directions))
        inside, outside = torch.where(is_inside, middle, inside), torch.where(is_inside, outside, middle)
    return outside
