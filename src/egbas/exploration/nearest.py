# SPDX-License-Identifier: MIT
"""The points of a region's walls that are nearest to a latent, by their gradients.

In: a region whose margins have gradients, a latent z0, and where to begin. Out: for each wall a point near it, from
the iteration of Hasofer and Lind (1974) and Rackwitz and Fiessler (1978): the wall is taken for the plane that touches
its margin where one is, and the next point is the one of that plane that is nearest to z0.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egbas.latent import LatentSpace, Uniform
from egbas.region import SupportingRegion

WALLS = 16  # that are looked for, those nearest by their first plane
_STEPS = (1.0,) * 8 + (0.5,) * 8 + (0.25,) * 8  # of the way to each next point: whole ones may turn in a circle
_AT_ONCE = 64  # latents
_OVER = 1.02  # of the way to the last point: on the far side of its wall
_HALVINGS = 60


def nearest_on_walls(
    region: SupportingRegion, z0: Float[Tensor, " d"], starts: Float[Tensor, "s d"], latent: LatentSpace
) -> Float[Tensor, "n d"]:
    """Find points a little beyond the walls of a region, near z0 and in the prior's support.

    Args:
        region: whose kept units are the walls.
        z0: a latent in it.
        starts: where the iteration begins; z0 itself may be one.
        latent: the latent space; the box of a uniform prior is not left.
    """
    device = region.split.device
    origin = z0.to(device, torch.float64)
    values, gradients = _planes(region, origin.expand(len(region.units), -1), torch.arange(len(region.units)))
    away = values.abs() / gradients.norm(dim=1).clamp(min=torch.finfo(torch.float64).tiny)
    walls = away.argsort()[:WALLS].cpu()
    z = starts.to(device, torch.float64).repeat_interleave(len(walls), dim=0)  # (s walls, d)
    each = walls.repeat(len(starts))
    low, high = box_of(latent, origin)
    best, closest = z.clone(), torch.full((len(z),), torch.inf, dtype=torch.float64, device=device)
    values, gradients = _planes(region, z, each)
    for step in _STEPS:
        z = z + step * (_nearest(origin, z, values, gradients, low, high) - z)
        values, gradients = _planes(region, z, each)
        error = values.abs() / gradients.norm(dim=1).clamp(min=torch.finfo(torch.float64).tiny)
        distance = (z - origin).norm(dim=1)
        is_better = (error < 0.02 * distance) & (distance < closest) & z.isfinite().all(dim=1)
        best[is_better], closest[is_better] = z[is_better], distance[is_better]
    found = origin + _OVER * (best[closest.isfinite()] - origin)
    return torch.minimum(torch.maximum(found, low), high).cpu()


def _planes(
    region: SupportingRegion, z: Float[Tensor, "n d"], walls: Int[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
    """The margin of one wall at each latent, and its gradient."""
    values, gradients = [], []
    units, signs = region.units[walls.to(region.units.device)], region.signs[walls.to(region.units.device)]
    for batch, unit, sign in zip(z.split(_AT_ONCE), units.split(_AT_ONCE), signs.split(_AT_ONCE), strict=True):
        with torch.enable_grad():
            inputs = batch.detach().to(region.split.dtype).clone().requires_grad_()
            h = region.split.differentiable(inputs)
            margin = h.gather(1, unit[:, None])[:, 0] * sign
            (gradient,) = torch.autograd.grad(margin.sum(), inputs)
        values.append(margin.detach().double())
        gradients.append(gradient.double())
    return torch.cat(values), torch.cat(gradients)


def _nearest(
    z0: Float[Tensor, " d"],
    z: Float[Tensor, "n d"],
    values: Float[Tensor, " n"],
    gradients: Float[Tensor, "n d"],
    low: Float[Tensor, " d"],
    high: Float[Tensor, " d"],
) -> Float[Tensor, "n d"]:
    """Of each plane the point nearest to z0 in a box: z0 - t gradient, cut off at the sides, for one t >= 0.

    Where no point of the box lies on the plane it is the corner that comes nearest.
    """
    square = gradients.square().sum(dim=1).clamp(min=torch.finfo(torch.float64).tiny)
    wanted = (gradients * z).sum(dim=1) - values  # gradient . point
    step = ((gradients @ z0 - wanted) / square).clamp(min=0)
    point = z0 - step[:, None] * gradients
    if bool(((point >= low) & (point <= high)).all()):
        return point
    least, most = torch.zeros_like(step), step.clone()

    def cut(t: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(z0 - t[:, None] * gradients, low), high)

    for _ in range(_HALVINGS):  # how far t must go at most
        short = (gradients * cut(most)).sum(dim=1) > wanted
        if not bool(short.any()):
            break
        most = torch.where(short, 2 * most, most)
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        short = (gradients * cut(middle)).sum(dim=1) > wanted
        least, most = torch.where(short, middle, least), torch.where(short, most, middle)
    return cut(most)


def box_of(latent: LatentSpace, like: Float[Tensor, " d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """The sides of a uniform prior's box, as tensors like one; infinite for other priors."""
    bound = latent.prior.bound if isinstance(latent.prior, Uniform) else torch.inf
    return torch.full_like(like, -bound), torch.full_like(like, bound)
