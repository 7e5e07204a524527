# SPDX-License-Identifier: MIT
"""The kept units of a region as functions of the latent, with gradients: what reflections take their normals from.

In: a region, or a differentiable function. Out: scaled margins m_k(z) / s_k, with s_k the deviation of unit k under
the prior, and products of a vector with their Jacobian. No membership is decided here: a normal may be any function of
the latent, so that float32 is exact enough.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Pull = Callable[[Float[Tensor, "n k"]], Float[Tensor, "n d"]]


@runtime_checkable
class Constraints(Protocol):
    """Scaled margins of a region; negative outside."""

    def margins(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Compute the scaled margins of latents."""
        ...

    def vjp(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n k"], Pull]:
        """Compute the scaled margins m / s, and what maps v (n, k) to J^T v (n, d), to be called at most once."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class FunctionConstraints:
    """Constraints told by a differentiable function.

    Attributes:
        function: maps latents (n, d) to margins (n, k), each row on its own; negative outside.
        scale: (k,) s_k that they are divided by.
        at_once: how many latents it is given at most.
    """

    function: Callable[[Tensor], Tensor]
    scale: Float[Tensor, " k"]
    at_once: int = 64

    def margins(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Compute the scaled margins of latents."""
        with torch.no_grad():
            return torch.cat([self.function(batch) for batch in z.split(self.at_once)]) / self.scale

    def vjp(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n k"], Pull]:
        """Compute the scaled margins, and what pulls a vector back; see ``Constraints``."""
        with torch.enable_grad():
            batches = [batch.detach().clone().requires_grad_() for batch in z.split(self.at_once)]
            scaled = [self.function(batch) / self.scale for batch in batches]

        def pull(v: Float[Tensor, "n k"]) -> Float[Tensor, "n d"]:
            weights = v.split(self.at_once)
            gradients = [torch.autograd.grad(*each) for each in zip(scaled, batches, weights, strict=True)]
            return torch.cat([gradient for (gradient,) in gradients])

        return torch.cat(scaled).detach(), pull


@dataclass(frozen=True, kw_only=True, eq=False)
class AffineConstraints:
    """Constraints that are affine in the latent, as those of a first layer or of a box.

    Attributes:
        weight: (k, d), of the scaled margins.
        offset: (k,).
    """

    weight: Float[Tensor, "k d"]
    offset: Float[Tensor, " k"]

    @classmethod
    def of_box(cls, low: Float[Tensor, " d"], high: Float[Tensor, " d"]) -> "AffineConstraints":
        """The walls of a box, scaled by the deviation of a uniform coordinate."""
        scale = (high - low) / 12**0.5
        weight = torch.diag(1 / scale)
        return cls(weight=torch.cat([weight, -weight]), offset=torch.cat([-low / scale, high / scale]))

    def margins(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Compute the scaled margins of latents."""
        return torch.addmm(self.offset, z.to(self.weight), self.weight.T)

    def vjp(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n k"], Pull]:
        """Compute the scaled margins, and what pulls a vector back; see ``Constraints``."""
        return self.margins(z), lambda v: v.to(self.weight) @ self.weight


@dataclass(frozen=True, kw_only=True, eq=False)
class JoinedConstraints:
    """Those of an intersection of regions: all that each of them has.

    Attributes:
        parts: at least one.
    """

    parts: Sequence[Constraints]

    def margins(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Compute the scaled margins of latents."""
        return torch.cat([part.margins(z).float() for part in self.parts], dim=1)

    def vjp(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n k"], Pull]:
        """Compute the scaled margins, and what pulls a vector back; see ``Constraints``."""
        margins, pulls = zip(*(part.vjp(z) for part in self.parts), strict=True)
        widths = [part.shape[1] for part in margins]

        def pull(v: Float[Tensor, "n k"]) -> Float[Tensor, "n d"]:
            return torch.stack([one(w).float() for one, w in zip(pulls, v.split(widths, dim=1), strict=True)]).sum(0)

        return torch.cat([part.float() for part in margins], dim=1), pull


@dataclass(frozen=True, kw_only=True, eq=False)
class ShiftedConstraints:
    """Those of a larger region, m_k(z) / s_k >= level.

    Attributes:
        inner: of the region.
        level: that its scaled margins must reach; negative.
    """

    inner: Constraints
    level: float

    def margins(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Compute the scaled margins of latents."""
        return self.inner.margins(z) - self.level

    def vjp(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n k"], Pull]:
        """Compute the scaled margins, and what pulls a vector back; see ``Constraints``."""
        margins, pull = self.inner.vjp(z)
        return margins - self.level, pull


def violations(margins: Float[Tensor, "n k"], above: float = 0.0) -> Float[Tensor, "n k"]:
    """By how much scaled margins lie below a level: minus the gradient of half their sum of squares."""
    return (above - margins).clamp(min=0.0)
