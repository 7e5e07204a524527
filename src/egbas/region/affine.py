# SPDX-License-Identifier: MIT
"""Layers whose pre-activation is affine in the latent, as the first one of most generators: kept units alone.

Where h(z) = W z + b, a few rows of W say all of a few units. That costs a hundredth of the layer's forward pass.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egbas.network.split import Split

_SCALES = (1.0, 3.0, 10.0, 100.0)  # of the latents that the layer is tried at
_N_PROBES = 4  # of each scale
_TOLERANCE = 1e-10  # relative, in float64
_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class AffineUnits:
    """Some units of a layer as affine functions of the latent.

    Attributes:
        weight: (d, k), in the dtype to compute in.
        offset: (k,).
    """

    weight: Float[Tensor, "d k"]
    offset: Float[Tensor, " k"]

    def __call__(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Their pre-activations at latents z."""
        return torch.addmm(self.offset, z.to(self.weight), self.weight)


def affine_units(exact: Split, units: Int[Tensor, " k"], d: int, *, dtype: torch.dtype) -> AffineUnits | None:
    """The units as affine functions; None where they are not affine at random latents of many lengths.

    Args:
        exact: the network in float64, split at the layer.
        units: (k,) indices in the flattened layer.
        d: coordinates of a latent.
        dtype: to compute in afterwards.
    """
    if exact.dtype != torch.float64:
        return None
    rng = torch.Generator().manual_seed(0)
    probes = torch.cat([s * torch.randn(_N_PROBES, d, generator=rng, dtype=torch.float64) for s in _SCALES])

    def values(z: Tensor) -> Tensor:
        return torch.cat([exact.head(batch)[:, units] for batch in z.split(_AT_ONCE)])

    ends, middle = values(probes[:2]), values(probes[:2].mean(dim=0, keepdim=True))
    if not torch.allclose(ends.mean(dim=0), middle[0], rtol=1e-6, atol=0):  # most layers fail this at once
        return None
    offset, *rows = values(torch.cat([torch.zeros(1, d, dtype=torch.float64), torch.eye(d, dtype=torch.float64)]))
    weight = torch.stack(rows) - offset  # (d, k)
    probes = probes.to(weight)
    bound = _TOLERANCE * (probes.abs() @ weight.abs() + offset.abs())
    if not bool(((values(probes) - (probes @ weight + offset)).abs() <= bound).all()):
        return None
    return AffineUnits(weight=weight.to(dtype), offset=offset.to(dtype))
