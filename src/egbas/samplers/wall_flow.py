# SPDX-License-Identifier: MIT
"""A flow that is slow across the walls that are near, for the warm-up in many dimensions.

In: states inside a region and its constraints. Out: the flow whose covariance is the inverse of the identity plus the
sum of n_k n_k^T over the walls, n_k being the gradient of a margin divided by its usual size: the metric of Dikin's
ellipsoid, averaged over the states. Snapshots cannot tell it: they are fewer than the coordinates, and chains that sit
in a corner have none to give. Any flow leaves the target as it is, so that a rough one only costs time.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from egbas.region.constraints import Constraints
from egbas.samplers.flow import Flow, Values

_STATES, _WALLS = 8, 256  # of whose walls the gradients are taken; of each the nearest
_AT_ONCE = 64  # of these: what the network remembers of a latent on the way to its gradient may be megabytes
_LEAST = 1e-3  # margin, in deviations under the prior
_FREE = 0.9  # rate, from which on an axis is taken for one that no wall crosses


def flow_of_walls(constraints: Constraints, z: Float[Tensor, "n d"]) -> tuple[Flow, int]:
    """The flow of the walls around some states, and how many gradients it took.

    Args:
        constraints: of the region.
        z: states inside, of which some are taken, evenly.
    """
    some = z[torch.arange(min(_STATES, len(z))) * len(z) // min(_STATES, len(z))]
    margins = constraints.margins(some).double()
    usual = margins.mean(dim=0).clamp(min=_LEAST)
    nearest = (margins / usual).argsort(dim=1)[:, :_WALLS]
    precision = torch.eye(z.shape[1], dtype=torch.float64)
    for state, walls in zip(some, nearest, strict=True):
        batches = walls.split(_AT_ONCE)
        normals = torch.cat([_normals(constraints, state, batch, usual) for batch in batches])
        precision += normals.T @ normals / len(some)
    e, basis = np.linalg.eigh(precision.numpy())
    return Flow(basis=basis, rates=1 / np.sqrt(e), is_curved=True), nearest.numel()


def _normals(
    constraints: Constraints, state: Float[Tensor, " d"], walls: Int[Tensor, " w"], usual: Float[Tensor, " k"]
) -> Float[Tensor, "w d"]:
    """The gradients of some margins at a state, each divided by its usual size."""
    values, pull = constraints.vjp(state.expand(len(walls), -1))
    chosen = torch.zeros_like(values)
    chosen[torch.arange(len(walls)), walls] = 1 / usual[walls].to(chosen)
    return pull(chosen).double().cpu()


def rescaled(flow: Flow, snapshots: Float[Values, "n d"]) -> Flow:
    """The same axes, with rates by how far states of all chains spread along them; the prior's where no wall is."""
    spread = flow.into(snapshots).std(axis=0).clip(1e-3, 1.0)
    return Flow(basis=flow.basis, rates=np.where(flow.rates > _FREE, 1.0, spread), is_curved=flow.is_curved)
