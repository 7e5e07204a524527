# SPDX-License-Identifier: MIT
"""Constraints of a layer that is linear in a stem: the kept units alone, as rows of a matrix.

One pass of the stem says which latents are clearly inside or outside, and gives the normals of those outside: their
rows alone are pulled back.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from egbas.network.graph.stem_gradients import RecordedStem
from egbas.region.affine import affine_units
from egbas.region.constraints import AffineConstraints, Constraints, FunctionConstraints, Pull, violations
from egbas.region.kept_rows import Rows, rows_of
from egbas.region.kept_units import LinearLayer
from egbas.region.supporting import SupportingRegion, exact_units

_SAFETY = 8.0  # of the measured rounding error, as for the region itself
_LEAST_SCALE = 1e-12  # of a margin, relative to the largest value: a unit that never changes has none
_AT_ONCE = 64  # latents: what a stem remembers of them fills a core's cache


def constraints_of(region: SupportingRegion, probes: Float[Tensor, "n d"]) -> Constraints:
    """The constraints of a region, by the quickest way that its layer allows.

    Args:
        region: of the kept units.
        probes: draws of the prior, of which s_k is the deviation.
    """
    stem = StemConstraints.of(region, probes)
    if stem is not None:
        return stem
    signs = region.signs.double()
    exact = exact_units(region.exact, region.units, probes) * signs
    scale = exact.std(dim=0).clamp(min=_LEAST_SCALE * exact.abs().max())
    affine = affine_units(region.exact, region.units, probes.shape[1], dtype=torch.float64)
    if affine is not None:
        factor = (signs / scale).to(affine.weight)
        return AffineConstraints(weight=(affine.weight * factor).T.contiguous(), offset=affine.offset * factor)
    split = region.split
    return FunctionConstraints(
        function=lambda z: split.differentiable(z)[:, region.units] * region.signs, scale=scale.to(split.dtype)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class StemConstraints:
    """Scaled margins m = A x + b of what a stem makes of latents, x (n, m) flat.

    Attributes:
        layer: whose stem it is.
        stem: the same, with gradients for some rows.
        rows: A.
        offset: b (k, 1).
        tolerance: (k, 1) bound on the error of each scaled margin, relative to the size of x.
        reference: added to the norm of x, which it makes the size of.
    """

    layer: LinearLayer
    stem: RecordedStem
    rows: Rows
    offset: Float[Tensor, "k 1"]
    tolerance: Float[Tensor, "k 1"]
    reference: Float[Tensor, ""]

    @classmethod
    def of(cls, region: SupportingRegion, probes: Float[Tensor, "n d"]) -> "StemConstraints | None":
        """Take them from a region; None where its layer has no stem, or not one that can be divided into blocks.

        Args:
            region: of the kept units.
            probes: draws of the prior, of which s_k is the deviation; the rounding error is measured at them.
        """
        units = None if region.halfspaces is None else region.halfspaces.units
        if units is None or not isinstance(units.shared, LinearLayer):
            return None
        layer = units.shared
        graph = getattr(layer.below, "__self__", None)
        latents = layer.split.prepare(probes)
        stem = None if not isinstance(graph, torch.fx.GraphModule) else RecordedStem.of(graph, latents)
        if stem is None:
            return None
        exact = (exact_units(region.exact, region.units, probes) * region.signs).T  # (k, n)
        scale = exact.std(dim=1, keepdim=True).clamp(min=_LEAST_SCALE * exact.abs().max())
        factor = region.signs.double().numpy() / scale[:, 0].double().numpy()
        rows = rows_of(units, factor, layer.in_shape)
        offset = torch.from_numpy(factor * units.packed.offset).float()[:, None]
        norms, errors = [], []
        for batch, expected in zip(latents.split(_AT_ONCE), exact.split(_AT_ONCE, dim=1), strict=True):
            x = _flat(layer.below(batch))
            norms.append(x.norm(dim=1))
            errors.append((rows.values(x, offset).double() * scale - expected).abs().amax(dim=0))
        sizes = torch.cat(norms)
        reference = sizes.max()
        relative = torch.cat(errors) / (sizes + reference)
        return cls(
            layer=layer,
            stem=stem,
            rows=rows,
            offset=offset,
            tolerance=(_SAFETY * relative.max() / scale).float(),
            reference=reference,
        )

    def shifted(self, level: float) -> "StemConstraints":
        """Those of a larger region, m_k(z) / s_k >= level."""
        return replace(self, offset=self.offset - level)

    def margins(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Compute the scaled margins of latents."""
        values = [self._of(self._record(batch)[self.stem.last]) for batch in z.split(_AT_ONCE)]
        return torch.cat(values, dim=1).T

    def vjp(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n k"], Pull]:
        """Compute the scaled margins, and what pulls a vector back; see ``Constraints``."""
        records = [self._record(batch) for batch in z.split(_AT_ONCE)]
        margins = [self._of(record[self.stem.last]) for record in records]

        def pull(v: Float[Tensor, "n k"]) -> Float[Tensor, "n d"]:
            pairs = zip(records, v.split(_AT_ONCE), strict=True)
            return torch.cat([self._pulled(record, torch.arange(len(batch)), batch.T) for record, batch in pairs])

        return torch.cat(margins, dim=1).T, pull

    def judge(
        self, z: Float[Tensor, "n d"]
    ) -> tuple[Bool[Tensor, " n"], Bool[Tensor, " n"], Float[Tensor, "outside d"]]:
        """Say which latents are inside or too close to a wall to say, and give normals of those that are outside.

        Returns:
            Whether a latent is clearly inside; whether it is unclear; and J^T v, with v_k = max(-m_k / s_k, 0), of
            those that are neither, in order.
        """
        batches = [self._judge(batch) for batch in z.split(_AT_ONCE)]
        inside, unclear, normals = (torch.cat(each) for each in zip(*batches, strict=True))
        return inside, unclear, normals

    def _judge(self, z: Float[Tensor, "n d"]) -> tuple[Tensor, Tensor, Tensor]:
        record = self._record(z)
        x = record[self.stem.last]
        margins = self._of(x)  # (k, n)
        worst = (margins / self.tolerance).amin(dim=0)
        size = _flat(x).norm(dim=1) + self.reference
        inside = worst > size
        outside = (worst < -size).nonzero()[:, 0]
        unclear = ~inside
        unclear[outside] = False
        if not len(outside):
            return inside, unclear, z[:0].to(margins)
        v = violations(margins.index_select(1, outside))
        return inside, unclear, self._pulled(record, outside, v)

    def _record(self, z: Float[Tensor, "n d"]) -> dict[int, Tensor]:
        return self.stem.record(self.layer.split.prepare(z))

    def _of(self, x: Tensor) -> Float[Tensor, "k n"]:
        return self.rows.values(_flat(x), self.offset)

    def _pulled(
        self, record: dict[int, Tensor], rows: Int[Tensor, " r"], v: Float[Tensor, "k r"]
    ) -> Float[Tensor, "r d"]:
        gradient = _shaped(self.rows.turned(v), self.layer.in_shape)
        return self.stem.pull(record, rows, gradient).flatten(1)


def _flat(x: Tensor) -> Float[Tensor, "n m"]:
    """What a stem computes with the channels of a place side by side, as it lies in memory."""
    return x if x.ndim == 2 else x.permute(0, 2, 3, 1).reshape(len(x), -1)


def _shaped(x: Float[Tensor, "n m"], in_shape: tuple[int, ...]) -> Tensor:
    """The inverse of ``_flat``."""
    if len(in_shape) == 1:
        return x.contiguous()
    c, h, w = in_shape
    return x.contiguous().reshape(-1, h, w, c).permute(0, 3, 1, 2)
