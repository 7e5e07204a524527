# SPDX-License-Identifier: MIT
"""The certificate of a run: every sample checked once more, in float64 where the region can be computed so."""

from collections.abc import Iterable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from egbas.region.contract import Region


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The re-check of every sample.

    Attributes:
        n_samples: how many were checked.
        n_inside: how many lie in the region.
        smallest_margin: smallest V^i f^i(z) over samples and kept units, in units of the layer's pre-activation; None
            where the region tells no margins, or there are no samples.
        dtype: that the check was computed in: float64, or the network's own where it cannot compute in float64; that
            of the latents where the region tells no margins, and was asked once more instead.
    """

    n_samples: int
    n_inside: int
    smallest_margin: float | None
    dtype: str

    @property
    def is_valid(self) -> bool:
        """Whether every sample lies in its region."""
        return self.n_inside == self.n_samples

    @classmethod
    def of_all(cls, certificates: Iterable["Certificate"]) -> "Certificate":
        """The certificate of the samples of several samplers together, of one region; at least one."""
        each = list(certificates)
        margins = [one.smallest_margin for one in each if one.smallest_margin is not None]
        return cls(
            n_samples=sum(one.n_samples for one in each),
            n_inside=sum(one.n_inside for one in each),
            smallest_margin=min(margins, default=None),
            dtype=each[0].dtype,
        )


def certify(region: Region, latents: Float[Tensor, "n d"]) -> Certificate:
    """Check that all latents lie in the region, by its margins where it has them, else by asking it once more."""
    margin = getattr(region, "margin", None)
    if margin is None:
        inside, smallest, dtype = region.contains(latents), None, latents.dtype
    else:
        margins = margin(latents)
        inside, dtype = margins >= 0, margins.dtype
        smallest = margins.min().item() if len(margins) else None
    return Certificate(
        n_samples=len(latents),
        n_inside=int(inside.sum()),
        smallest_margin=smallest,
        dtype=str(dtype).removeprefix("torch."),
    )
