# SPDX-License-Identifier: MIT
"""The certificate of a run: every sample checked once more in float64."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from egbas.region.supporting import SupportingRegion


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The re-check of every sample in float64.

    Attributes:
        n_samples: how many were checked.
        n_inside: how many lie in the region.
        smallest_margin: smallest V^i f^i(z) over samples and kept units, in units of the layer's pre-activation.
        dtype: that the check was computed in: float64, or the network's own where it cannot compute in float64.
    """

    n_samples: int
    n_inside: int
    smallest_margin: float
    dtype: str

    @property
    def is_valid(self) -> bool:
        """Whether every sample lies in its region."""
        return self.n_inside == self.n_samples


def certify(region: SupportingRegion, latents: Float[Tensor, "n d"]) -> Certificate:
    """Check in float64 that all latents lie in the region."""
    margins = region.margin(latents)
    return Certificate(
        n_samples=len(margins),
        n_inside=int((margins >= 0).sum()),
        smallest_margin=margins.min().item(),
        dtype=str(region.exact.dtype).removeprefix("torch."),
    )
