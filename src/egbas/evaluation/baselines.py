# SPDX-License-Identifier: MIT
"""What E-GBAS is compared with: balls around the query (Jeon et al. 2020, Experiments), and one of our own.

In: an exploration, whose rejected candidates give the radius. Out: as many samples as it has. They are never
clipped to the prior's support; how many left it is told beside them.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.exploration.result import Exploration
from egbas.geometry import Geometry
from egbas.latent import LatentSpace
from egbas.samplers.gbrrt import OUTSIDE

E_GBAS, L2, LINF, RADIUS_MATCHED = "E-GBAS", "eps-L2", "eps-Linf", "radius-matched"
METHODS = (E_GBAS, L2, LINF, RADIUS_MATCHED)


@dataclass(frozen=True, kw_only=True, eq=False)
class BaselineSamples:
    """Samples around a query, of E-GBAS or of a baseline.

    Attributes:
        method: one of ``METHODS``.
        latents: (n, d), without the query: its image equals the query's and would flatter small samples.
        epsilon: radius of the ball, for a cube half its width, in latent units; None where there is no ball.
        left_support: how many of the latents lie outside the prior's support.
    """

    method: str
    latents: Float[Tensor, "n d"]
    epsilon: float | None
    left_support: int


def e_gbas(run: Exploration) -> BaselineSamples:
    """The nodes of the tree without the query.

    Raises:
        ConfigError: the tree has no other node.
    """
    if len(run.grown.latents) < 2:
        raise ConfigError(
            "the exploration accepted no candidate, so there are no samples to judge; lower its step size"
        )
    return _samples(E_GBAS, run.grown.latents[1:], None, run.latent)


def l2_ball(run: Exploration, *, rng: torch.Generator) -> BaselineSamples:
    """Draw uniformly from the L2 ball of radius ``epsilon_l2`` around the query; on a sphere, that is a cap.

    A uniform direction, and a radius whose distribution makes it uniform: in flat space eps u^(1/d) with u
    uniform, since P(radius < r) = (r / eps)^d.

    Args:
        run: the exploration; as many samples are drawn as it has.
        rng: a CPU generator.

    Raises:
        ConfigError: the exploration rejected nothing outside its region, or accepted nothing.
    """
    epsilon = epsilon_l2(run)
    latents, geometry = e_gbas(run).latents, run.geometry
    radii = geometry.ball_radii(torch.rand(len(latents), generator=rng, dtype=torch.float64), epsilon)
    offsets = radii[:, None] * _directions(geometry, latents.shape, rng=rng)
    return _samples(L2, geometry.around(offsets), epsilon, run.latent)


def linf_ball(run: Exploration, *, rng: torch.Generator) -> BaselineSamples:
    """Draw uniformly from the cube around the query with the volume of ``l2_ball``.

    On a sphere the cube lies in the tangent space of the query, with the volume of the ball of radius eps there, and
    great circles carry it onto the sphere: the ball would become the cap. Their volumes on the sphere itself
    differ a little more the larger they are.

    Args:
        run: the exploration; as many samples are drawn as it has.
        rng: a CPU generator.

    Raises:
        ConfigError: the exploration rejected nothing outside its region, or accepted nothing.
    """
    n, geometry = len(e_gbas(run).latents), run.geometry
    epsilon = epsilon_linf(epsilon_l2(run), geometry.dimensions)
    coordinates = epsilon * (2 * torch.rand(n, geometry.dimensions, generator=rng, dtype=torch.float64) - 1)
    return _samples(LINF, geometry.around(geometry.embed(coordinates)), epsilon, run.latent)


def radius_matched(run: Exploration, *, rng: torch.Generator) -> BaselineSamples:
    """Draw a uniform direction at the distance of each E-GBAS sample from the query.

    Not in the paper. Samples of this baseline are exactly as far away as those of E-GBAS, so that what
    differs between the two is the region, not the distance.

    Args:
        run: the exploration.
        rng: a CPU generator.

    Raises:
        ConfigError: the exploration accepted nothing.
    """
    latents, geometry = e_gbas(run).latents, run.geometry
    radii = geometry.distances(latents.double(), run.query.double()[None])
    offsets = radii[:, None] * _directions(geometry, latents.shape, rng=rng)
    return _samples(RADIUS_MATCHED, geometry.around(offsets), None, run.latent)


def has_border(run: Exploration) -> bool:
    """Whether the exploration rejected a candidate outside its region, so that ``epsilon_l2`` exists."""
    return bool((run.grown.rejected_reason == OUTSIDE).any())


def epsilon_l2(run: Exploration) -> float:
    """The paper's radius: the mean of the largest and the smallest distance of a rejected sample from z_avg.

    eps_L2 = (max_z ||z_avg - z|| + min_z ||z_avg - z||) / 2 over the rejected z, with z_avg the mean of the
    accepted. Only candidates outside the region count: the paper takes the rejected samples as marks of the
    region's border, and so are these, the far ends of edges that cross it. A candidate that is merely too close
    to another node lies inside, often next to z_avg; it would set the minimum to almost 0 and halve the ball.
    On a sphere the mean lies on it, too, and the distances are along it.

    Returns:
        eps_L2 in latent units.

    Raises:
        ConfigError: no candidate was rejected outside the region: nothing marks its border.
    """
    distances = border_distances(run)
    return (distances.max() + distances.min()).item() / 2


def border_distances(run: Exploration) -> Float[Tensor, " r"]:
    """Distances, in latent units and float64, of the candidates rejected outside the region from z_avg.

    Raises:
        ConfigError: there is no such candidate: nothing marks the region's border.
    """
    if not has_border(run):
        raise ConfigError(
            "the exploration rejected no candidate outside its region, "
            "so nothing says how large a ball to compare it with; "
            "raise the half-width, the step size or the iterations until the tree meets the border"
        )
    border = run.grown.rejected[run.grown.rejected_reason == OUTSIDE].double()
    geometry = run.geometry
    return geometry.distances(border, geometry.mean(run.grown.latents.double())[None])


def epsilon_linf(epsilon: float, d: int) -> float:
    """Half the width of the d-dimensional cube that has the volume of an L2 ball.

    (2 eps_Linf)^d = pi^(d/2) eps^d / Gamma(d/2 + 1), solved in logarithms: in 512 dimensions the volumes
    themselves are no floating-point numbers.

    Args:
        epsilon: radius of the L2 ball, in latent units.
        d: dimensions.
    """
    log_unit_ball = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    return epsilon / 2 * math.exp(log_unit_ball / d)


def _directions(geometry: Geometry, shape: torch.Size, *, rng: torch.Generator) -> Float[Tensor, "n d"]:
    """Uniform directions from the query, in float64."""
    return geometry.directions(torch.randn(shape, generator=rng, dtype=torch.float64))


def _samples(method: str, latents: Float[Tensor, "n d"], epsilon: float | None, latent: LatentSpace) -> BaselineSamples:
    left_support = int((~latent.contains(latents)).sum())
    return BaselineSamples(method=method, latents=latents, epsilon=epsilon, left_support=left_support)
