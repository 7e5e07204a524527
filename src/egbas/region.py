# SPDX-License-Identifier: MIT
"""Generative regions (Jeon et al. 2020, Definitions 1-6): the halfspace indicator V, membership, margins, certificate.

Membership is decided the way exact geometric predicates are: in the network's own precision where the
margin is clear of the rounding error, and once more in float64 where it is not. The answer for a
latent therefore depends neither on the batch it is tested in nor on the kernels that compute it.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int8
from torch import Tensor

from egbas.errors import NetworkError, ShapeError, StartOutsideRegionError
from egbas.network import AffineUnits, Layer, Network, Split, affine_units

logger = logging.getLogger(__name__)

# How many latents go through the head at once: deep convolutions are fastest at 16 to 64 on a few cores.
MICRO_BATCH = 64
_N_PROBES = 32
_SAFETY = 8.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """A network cut at a layer, in its own precision and in float64; the regions of many queries share one.

    Attributes:
        split: the network cut at the layer.
        exact: the same in float64; ``split`` itself for a float64 network, and for one that cannot compute in float64.
    """

    split: Split
    exact: Split

    @classmethod
    def of(cls, network: Network, layer: Layer) -> "Cut":
        """Cut a network."""
        split = network.cut(layer)
        return cls(split=split, exact=_in_float64(network, split))


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """The region of a halfspace indicator (Definition 3), or of a subset of the units (Definition 5).

    Attributes:
        split: the network cut at the layer.
        exact: the same in float64; ``split`` itself for a float64 network, and for one that cannot compute in float64.
        units: (k,) int64 indices in the flattened layer of the units with V^i != 0.
        signs: (k,) int8, their V^i in {-1, +1}.
        rounding: bound on the relative error of the network's precision; 0 for a float64 network.
        affine: the units as affine functions of the latent, where they are; None: the head computes the whole layer.
    """

    split: Split
    exact: Split
    units: Int[Tensor, " k"]
    signs: Int8[Tensor, " k"]
    rounding: float
    affine: AffineUnits | None = None

    @classmethod
    def around(
        cls,
        network: Network,
        layer: Layer,
        z0: Float[Tensor, " d"],
        units: Tensor,
        signs: Tensor,
        *,
        reach: float,
    ) -> "Region":
        """Build the region of ``units`` on the sides ``signs``, and check that the query lies in it.

        Args:
            network: the network.
            layer: one of its layers.
            z0: the query.
            units: (k,) int64.
            signs: (k,) int8 in {-1, +1}.
            reach: how far from the query latents will be tested, in latent units per coordinate; the
                rounding error is measured over that box.

        Raises:
            ShapeError: there is no unit.
            StartOutsideRegionError: the query violates one of the halfspaces.
        """
        return cls.in_cut(Cut.of(network, layer), z0, units, signs, reach=reach)

    @classmethod
    def in_cut(cls, cut: Cut, z0: Float[Tensor, " d"], units: Tensor, signs: Tensor, *, reach: float) -> "Region":
        """Build a region as ``around`` does, of a network that is cut already."""
        if not len(units):
            raise ShapeError("got a set of no units; expected at least one, since nothing else bounds a region")
        split, exact = cut.split, cut.exact
        units, signs = units.to(split.device), signs.to(split.device)
        affine = None if exact is split else affine_units(exact, units, z0.numel(), dtype=split.dtype)
        rounding = 0.0
        if exact is not split:
            rounding = _rounding(affine or _units_of(split, units), _units_of(exact, units), z0, reach)
        region = cls(split=split, exact=exact, units=units, signs=signs, rounding=rounding, affine=affine)
        if not bool(region.contains(z0[None])):
            raise StartOutsideRegionError(
                f"the query lies outside the region of its {len(units)} units (smallest margin "
                f"{region.margin(z0[None]).item():.3g}); the signs do not belong to this query, layer or network"
            )
        return region

    @property
    def layer(self) -> Layer:
        """The layer whose units bound the region."""
        return self.split.layer

    def contains(self, z: Tensor) -> Bool[Tensor, " n"]:
        """Say which latents lie in the region: V^i f^i_{l:1}(z) >= 0 for every kept unit i.

        Args:
            z: (n, d) latents.

        Raises:
            NetworkError: the network gave a value that is not a number.
        """
        return torch.cat([self._contains(part) for part in _flat(z).split(MICRO_BATCH)] or [_none(z)])

    def margin(self, z: Tensor) -> Float[Tensor, " n"]:
        """Smallest V^i f^i_{l:1}(z) over the kept units, computed by ``exact``; negative outside the region.

        Args:
            z: (n, d) latents.
        """
        exact = _units_of(self.exact, self.units)
        parts = [self._margin(exact(part))[0].to(z.device) for part in _flat(z).split(MICRO_BATCH)]
        return torch.cat(parts or [_none(z).double()])

    def _contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        return self._judged(z, (self.affine or _units_of(self.split, self.units))(z))

    def _judged(self, z: Float[Tensor, "n d"], h: Float[Tensor, "n k"]) -> Bool[Tensor, " n"]:
        """Judge by the kept units' pre-activations, and by ``exact`` where those are too close to a boundary."""
        margin, size = self._margin(h)
        # One transfer from a device for both.
        inside, is_unclear = torch.stack([margin >= 0, margin.abs() <= self.rounding * size]).to(z.device)
        if self.rounding > 0 and bool(is_unclear.any()):
            exact = _units_of(self.exact, self.units)
            inside[is_unclear] = (self._margin(exact(z[is_unclear]))[0] >= 0).to(z.device)
        return inside

    def _margin(self, h: Float[Tensor, "n k"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """Margins, and the largest magnitude among the kept units, which scales their rounding error."""
        signed = h * self.signs
        low, high = torch.aminmax(signed, dim=1)
        size = torch.maximum(-low, high)
        if not bool(torch.isfinite(size).all()):  # NaN comes through both, infinity through size
            raise NetworkError(
                f"layer {self.layer.path!r} gave values that are not finite within the explored box; "
                "reduce the half-width, or explore the network in float32 or float64"
            )
        return low, size


def contains_many(regions: Sequence[Region], latents: Sequence[Float[Tensor, "_ d"]]) -> list[Bool[Tensor, " _"]]:
    """For each region say which of its latents lie in it, with one forward pass for all where they share a cut.

    Args:
        regions: as many as there are sets of latents.
        latents: for each region some, possibly none.
    """
    first = regions[0]
    if first.affine is not None or any(region.split is not first.split for region in regions):
        return [region.contains(z) for region, z in zip(regions, latents, strict=True)]
    joined = torch.cat([_flat(z) for z in latents])
    starts = torch.tensor([0, *(len(z) for z in latents)]).cumsum(0).tolist()
    found: list[list[Tensor]] = [[_none(z)] for z in latents]
    for begin in range(0, len(joined), MICRO_BATCH):
        end = min(begin + MICRO_BATCH, len(joined))
        h = first.split.head(joined[begin:end])
        for number, region in enumerate(regions):
            low, high = max(begin, starts[number]), min(end, starts[number + 1])
            if low < high:
                kept = h[low - begin : high - begin, region.units]
                found[number].append(region._judged(joined[low:high], kept))
    return [torch.cat(parts) for parts in found]


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


def certify(region: Region, latents: Float[Tensor, "n d"]) -> Certificate:
    """Check in float64 that all latents lie in the region."""
    margins = region.margin(latents)
    return Certificate(
        n_samples=len(margins),
        n_inside=int((margins >= 0).sum()),
        smallest_margin=margins.min().item(),
        dtype=str(region.exact.dtype).removeprefix("torch."),
    )


def _in_float64(network: Network, split: Split) -> Split:
    """The same cut of the network in float64, or ``split`` where that is float64 already or cannot be had."""
    if network.dtype == torch.float64:
        return split
    try:
        return network.in_float64().cut(split.layer)
    except NetworkError as error:
        logger.info("no float64 check: %s", error)
        return split


Units = Callable[[Tensor], Tensor]


def _units_of(split: Split, units: Int[Tensor, " k"]) -> Units:
    """The pre-activations (n, k) of some units at latents (n, d), by the head."""
    return lambda z: split.head(z)[:, units]


def _rounding(fast: Units, exact: Units, z0: Float[Tensor, " d"], reach: float) -> float:
    """Measure the relative error of the network's precision at the query and around it, with a safety factor."""
    rng = torch.Generator().manual_seed(0)  # fixed: the same region for the same network and query
    noise = 2 * torch.rand(_N_PROBES, z0.numel(), generator=rng) - 1
    probes = torch.cat([z0[None], z0 + reach * noise.to(z0)])
    h, h_exact = fast(probes).double(), exact(probes)
    size = h_exact.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
    return _SAFETY * ((h - h_exact).abs().amax(dim=1) / size).max().item()


def _flat(z: Tensor) -> Float[Tensor, "n d"]:
    if z.ndim != 2:
        raise ShapeError(f"got latents of shape {tuple(z.shape)}, expected (n, d); add or flatten dimensions")
    return z


def _none(z: Tensor) -> Bool[Tensor, " n"]:
    return torch.zeros(0, dtype=torch.bool, device=z.device)
