# SPDX-License-Identifier: MIT
"""Where chains start: draws of the prior, brought into the region by descent.

They come from everywhere; where chains from these and chains from the query agree, the region has one part.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.region import Region
from egbas.region.constraints import Constraints, violations
from egbas.samplers.walls import on_sphere

_MARGIN = 0.02  # that is aimed at, in deviations of a unit under the prior
_OVERSHOT = 1.5  # of the step that would end the violations if they were linear
_LONGEST = 0.5  # step, in latent units


@dataclass(frozen=True, kw_only=True, eq=False)
class Starts:
    """Latents inside a region.

    Attributes:
        latents: (m, d) those that came inside, in the order in which they were given.
        n_failed: how many did not.
        evaluations: latents whose membership was asked.
    """

    latents: Float[Tensor, "m d"]
    n_failed: int
    evaluations: int


def descend(
    region: Region, constraints: Constraints, z: Float[Tensor, "n d"], target: Any, *, iterations: int = 400
) -> Starts:
    """Bring latents into a region.

    Args:
        region: says which latents lie in it.
        constraints: of the region; their squared violations are descended.
        z: where to begin, draws of the target without the region.
        target: ``UniformBox`` (``low``, ``high``) and ``UniformSphere`` (``radius``) are not left.
        iterations: after which a latent has failed.
    """
    z = _within(z.clone(), target)
    inside, evaluations = region.contains(z), len(z)
    for _ in range(iterations):
        if not len(rows := (~inside).nonzero()[:, 0]):
            break
        moved = _within(z[rows] + _step(constraints, z[rows]), target)
        z[rows] = moved
        inside[rows] = region.contains(moved)
        evaluations += len(rows)
    return Starts(latents=z[inside], n_failed=int((~inside).sum()), evaluations=evaluations)


def _step(constraints: Constraints, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    margins, pull = constraints.vjp(z)
    v = violations(margins, _MARGIN)
    gradient = pull(v).to(z)
    square = gradient.square().sum(dim=1, keepdim=True).clamp(min=torch.finfo(z.dtype).tiny)
    step = _OVERSHOT * gradient * v.square().sum(dim=1, keepdim=True).to(z) / square
    return step * (_LONGEST / step.norm(dim=1, keepdim=True).clamp(min=_LONGEST))


def _within(z: Float[Tensor, "n d"], target: Any) -> Float[Tensor, "n d"]:
    if hasattr(target, "radius"):
        return on_sphere(z, target.radius)
    return z.clamp(target.low.to(z), target.high.to(z)) if hasattr(target, "low") else z
