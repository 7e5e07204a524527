# SPDX-License-Identifier: MIT
"""A generative region (Jeon et al. 2020, Definitions 3 and 5): its halfspaces, membership, margins.

Membership is decided the way exact geometric predicates are: in the network's own precision where the
margin is clear of the rounding error, and once more in float64 where it is not. The answer for a
latent therefore depends neither on the batch it is tested in nor on the kernels that compute it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int8
from torch import Tensor

from egbas.errors import NetworkError, ShapeError, StartOutsideRegionError
from egbas.machine.settings import alone, settles
from egbas.machine.threads import at_once, threads_worth
from egbas.network import Layer, Network, Split
from egbas.region.affine import affine_units
from egbas.region.contract import Region
from egbas.region.halfspaces import INSIDE, NOT_FINITE, UNCLEAR, Halfspaces
from egbas.region.kept_units import Array
from egbas.region.precisions import Precisions

# How many latents go through the head at once: deep convolutions are fastest at 16 to 64 on a few cores.
MICRO_BATCH = 64
# Pre-activations at once in float64, whose convolutions write all that a kernel meets out: that is nine times a layer.
_EXACT_AT_ONCE = 2**20
_N_PROBES = 32
_SAFETY = 8.0


@dataclass(frozen=True, kw_only=True, eq=False)
class SupportingRegion:
    """The region of a halfspace indicator (Definition 3), or of a subset of the units (Definition 5).

    Attributes:
        split: the network split at the layer.
        exact: the same in float64; ``split`` itself for a float64 network, and for one that cannot compute in float64.
        units: (k,) int64 indices in the flattened layer of the units with V^i != 0.
        signs: (k,) int8, their V^i in {-1, +1}.
        rounding: bound on the relative error of the network's precision; 0 for a float64 network.
        halfspaces: of the units alone, where they can be computed so; None: the head computes the whole layer.
    """

    split: Split
    exact: Split
    units: Int[Tensor, " k"]
    signs: Int8[Tensor, " k"]
    rounding: float
    halfspaces: Halfspaces | None = None

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
    ) -> "SupportingRegion":
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
        return cls.of(Precisions.of(network, layer), z0, units, signs, reach=reach)

    @classmethod
    @alone
    def of(
        cls, precisions: Precisions, z0: Float[Tensor, " d"], units: Tensor, signs: Tensor, *, reach: float
    ) -> "SupportingRegion":
        """Build a region as ``around`` does, of a network that is split already."""
        if not len(units):
            raise ShapeError("got a set of no units; expected at least one, since nothing else bounds a region")
        split, exact = precisions.split, precisions.exact
        units, signs = units.to(split.device), signs.to(split.device)
        region = cls(split=split, exact=exact, units=units, signs=signs, rounding=0.0)
        if exact is not split:
            region = region._measured(precisions, z0, reach)
        if not bool(region.contains(z0[None])):
            raise StartOutsideRegionError(
                f"the query lies outside the region of its {len(units)} units "
                f"(smallest margin {region.margin(z0[None]).item():.3g}); "
                "the signs do not belong to this query, layer or network"
            )
        return region

    @property
    def layer(self) -> Layer:
        """The layer whose units bound the region."""
        return self.split.layer

    @property
    def is_for_threads(self) -> bool:
        """Whether threads that ask side by side gain by it.

        The whole head answers one after the other, and where there is no stem the calls from Python are most of it.
        """
        return self._seconds > 0

    @settles
    def contains(self, z: Tensor) -> Bool[Tensor, " n"]:
        """Say which latents lie in the region: V^i f^i_{l:1}(z) >= 0 for every kept unit i.

        Args:
            z: (n, d) latents.

        Raises:
            NetworkError: the network gave a value that is not a number.
        """
        n_threads = min(len(_flat(z)), threads_worth(len(z) * self._seconds))
        return self._contains(z) if n_threads < 2 else torch.cat(at_once(self._contains, z.tensor_split(n_threads)))

    def _contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        if 0 < len(z) <= MICRO_BATCH:  # as in the rounds of a tree, of which cheap layers feel every call
            return self._judged(z, self._features(z))
        batches = z.split(MICRO_BATCH)
        return torch.cat([self._judged(each, self._features(each)) for each in batches if len(each)] or [_none(z)])

    @settles
    def margin(self, z: Tensor) -> Float[Tensor, " n"]:
        """Smallest V^i f^i_{l:1}(z) over the kept units, computed by ``exact``; negative outside the region.

        Args:
            z: (n, d) latents.
        """
        batches = _flat(z).split(MICRO_BATCH)
        margins = [self._margin(exact_units(self.exact, self.units, batch))[0].to(z.device) for batch in batches]
        return torch.cat(margins or [_none(z).double()])

    @settles
    def values(self, z: Tensor) -> Float[Tensor, "n k"]:
        """Pre-activations f^i_{l:1}(z) of the kept units, without those of others where they can be computed so.

        For pictures: rounding is that of the network's own precision, and decides nothing here.

        Args:
            z: (n, d) latents.
        """
        values = [self._values(batch) for batch in _flat(z).split(MICRO_BATCH)]
        return torch.cat(values or [torch.zeros(0, len(self.units), dtype=self.split.dtype)])

    def _values(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        features = self._features(z)
        if self.halfspaces is None or isinstance(features, Tensor):
            assert isinstance(features, Tensor)
            return features[:, self.units].cpu()
        return torch.from_numpy(self.halfspaces.units.values(features)).to(self.split.dtype)

    @settles
    def shared(self, z: Tensor) -> Float[Tensor, " n"]:
        """Share of the kept boundaries that latents have on the query's side; 1 in the region.

        Args:
            z: (n, d) latents.
        """
        split = _units_of(self.split, self.units)
        shares = [(split(batch) * self.signs >= 0).double().mean(dim=1).cpu() for batch in _flat(z).split(MICRO_BATCH)]
        return torch.cat(shares or [_none(z).double()])

    def linear(self) -> tuple[Float[Tensor, "k d"], Float[Tensor, " k"]] | None:
        """A and b of the polytope A z + b >= 0, in float64; None where the layer is not affine in the latent."""
        return self._walls

    @cached_property
    def _walls(self) -> tuple[Tensor, Tensor] | None:
        affine = affine_units(self.exact, self.units, self.split.latent_size, dtype=torch.float64)
        if affine is None:
            return None
        signs = self.signs.to(affine.weight)
        return (affine.weight * signs).T.contiguous(), affine.offset * signs

    @cached_property
    def _seconds(self) -> float:
        """That threads could save of a latent's; the whole head answers one thread after the other."""
        return 0.0 if self.halfspaces is None else self.halfspaces.units.seconds

    def _measured(self, precisions: Precisions, z0: Float[Tensor, " d"], reach: float) -> "SupportingRegion":
        """The same region with the rounding errors of its tests, measured at the query and around it."""
        rng = torch.Generator().manual_seed(0)  # fixed: the same region for the same network and query
        noise = 2 * torch.rand(_N_PROBES, z0.numel(), generator=rng, dtype=torch.float32) - 1
        probes = torch.cat([z0[None], z0 + reach * noise.to(z0)])
        h_exact = exact_units(self.exact, self.units, probes)
        size = h_exact.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
        errors = (_units_of(self.split, self.units)(probes).double() - h_exact).abs().amax(dim=1)
        rounding = _SAFETY * (errors / size).max().item()
        kept, halfspaces = precisions.kept(self.units), None
        if kept is not None:
            halfspaces = Halfspaces.measured(kept, self.signs, probes, h_exact)
        return replace(self, rounding=rounding, halfspaces=halfspaces)

    @property
    def _stem(self) -> object:
        """Regions that have the same can share the features of their latents."""
        return self.split if self.halfspaces is None else self.halfspaces.units.shared

    def _features(self, z: Float[Tensor, "n d"]) -> Tensor | Array:
        """What latents are judged by, the same for all regions of a layer with ``halfspaces``, and for all without."""
        return self.split.head(z) if self.halfspaces is None else self.halfspaces.units.stem(z)

    def _judged(self, z: Float[Tensor, "n d"], features: Tensor | Array) -> Bool[Tensor, " n"]:
        """Judge latents by their features, and by ``exact`` where those are too close to a boundary."""
        if self.halfspaces is None or isinstance(features, Tensor):
            assert isinstance(features, Tensor)
            margin, size = self._margin(features[:, self.units])
            # One transfer from a device for both.
            inside, is_unclear = torch.stack([margin >= 0, margin.abs() <= self.rounding * size]).to(z.device)
            is_unclear &= self.rounding > 0
        else:
            verdicts, largest = self.halfspaces.judge(features)
            if largest <= INSIDE:  # as nearly always: no or yes
                return torch.from_numpy(verdicts.view(np.bool_))
            if largest == NOT_FINITE:
                raise self._not_finite()
            inside, is_unclear = torch.from_numpy(verdicts == INSIDE), torch.from_numpy(verdicts == UNCLEAR)
        if bool(is_unclear.any()):
            exact = exact_units(self.exact, self.units, z[is_unclear])
            inside[is_unclear] = (self._margin(exact)[0] >= 0).to(z.device)
        return inside

    def _margin(self, h: Float[Tensor, "n k"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """Margins, and the largest magnitude among the kept units, which scales their rounding error."""
        signed = h * self.signs
        low, high = torch.aminmax(signed, dim=1)
        size = torch.maximum(-low, high)
        if not bool(torch.isfinite(size).all()):  # NaN comes through both, infinity through size
            raise self._not_finite()
        return low, size

    def _not_finite(self) -> NetworkError:
        return NetworkError(
            f"layer {self.layer.path!r} gave values that are not finite within the explored box; "
            "reduce the half-width, or explore the network in float32 or float64"
        )


def contains_many(regions: Sequence[Region], latents: Sequence[Float[Tensor, "_ d"]]) -> list[Bool[Tensor, " _"]]:
    """For each region say which of its latents lie in it, with one forward pass for all where they share a layer.

    Args:
        regions: as many as there are sets of latents; those that are no ``SupportingRegion`` are asked one by one.
        latents: for each region some, possibly none.
    """
    supporting = [region for region in regions if isinstance(region, SupportingRegion)]
    is_joint = 1 < len(regions) == len(supporting)
    if not is_joint or any(region._stem is not supporting[0]._stem for region in supporting):
        return [region.contains(z) for region, z in zip(regions, latents, strict=True)]
    first = supporting[0]
    joined = torch.cat([_flat(z) for z in latents])
    starts = [0, *accumulate(len(z) for z in latents)]

    answers: list[list[Tensor]] = [[_none(z)] for z in latents]
    batches = joined.split(MICRO_BATCH) if len(joined) else ()
    for begin, batch in zip(range(0, len(joined), MICRO_BATCH), batches, strict=True):
        features = first._features(batch)
        for number, region in enumerate(supporting):
            low, high = max(begin, starts[number]), min(begin + len(features), starts[number + 1])
            if low < high:
                answers[number].append(region._judged(joined[low:high], features[low - begin : high - begin]))
    return [torch.cat(some) for some in answers]


def exact_units(exact: Split, units: Int[Tensor, " k"], z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
    """The pre-activations of some units by a head in float64, with few latents at once where the layer is large.

    Args:
        exact: the network split at the layer, in float64.
        units: (k,) int64.
        z: latents.
    """
    at_once = min(MICRO_BATCH, max(1, _EXACT_AT_ONCE // exact.layer.units))
    return torch.cat([exact.head(batch)[:, units] for batch in z.split(at_once)])


Units = Callable[[Tensor], Tensor]


def _units_of(split: Split, units: Int[Tensor, " k"]) -> Units:
    """The pre-activations (n, k) of some units at latents (n, d), by the head."""
    return lambda z: split.head(z)[:, units]


def _flat(z: Tensor) -> Float[Tensor, "n d"]:
    if z.ndim != 2:
        raise ShapeError(f"got latents of shape {tuple(z.shape)}, expected (n, d); add or flatten dimensions")
    return z


def _none(z: Tensor) -> Bool[Tensor, " n"]:
    return torch.zeros(0, dtype=torch.bool, device=z.device)
