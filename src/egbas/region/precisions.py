# SPDX-License-Identifier: MIT
"""A network split at a layer, with all that the regions of many queries have in common."""

import logging
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from egbas.errors import NetworkError
from egbas.network import Layer, Network, Split
from egbas.region.affine import affine_units
from egbas.region.kept_units import KeptUnits, LinearLayer, affine_kept_units

logger = logging.getLogger(__name__)

_kept: "weakref.WeakKeyDictionary[Network, dict[str, Precisions]]" = weakref.WeakKeyDictionary()


def keep_splits(network: Network, layers: Sequence[Layer]) -> None:
    """Keep a network's splits at some layers, and no others, as long as the network lives.

    For many explorations of one ``Network``: to split takes longer than a short exploration.
    """
    before = _kept.get(network, {})
    paths = [layer.path for layer in layers]
    _kept[network] = {path: before[path] for path in paths if path in before}
    for layer in layers:
        if layer.path not in before:
            _kept[network][layer.path] = Precisions.of(network, layer)


@dataclass(frozen=True, kw_only=True, eq=False)
class Precisions:
    """A network split at a layer, in its own precision and in float64.

    Attributes:
        split: the network split at the layer.
        exact: the same in float64; ``split`` itself for a float64 network, and for one that cannot compute in float64.
        linear: the layer as products with what a stem computes; None where it is not, or not in float32 on a CPU.
    """

    split: Split
    exact: Split
    linear: LinearLayer | None

    @classmethod
    def of(cls, network: Network, layer: Layer) -> "Precisions":
        """Split a network at a layer, in both precisions, unless ``keep_splits`` has done so."""
        kept = _kept.get(network, {}).get(layer.path)
        if kept is not None:
            return kept
        split = network.split(layer)
        exact = _in_float64(split)
        return cls(split=split, exact=exact, linear=None if exact is split else LinearLayer.of(split, exact))

    def kept(self, units: Int[Tensor, " k"]) -> KeptUnits | None:
        """Some units, to be computed without the others; None where they cannot be."""
        if self.exact is self.split or self.split.dtype != torch.float32 or self.split.device.type != "cpu":
            return None
        # Where a layer is affine in the latent, through however many linear maps, there is no stem to compute.
        affine = affine_units(self.exact, units, self.split.latent_size, dtype=torch.float64)
        if affine is not None:
            return affine_kept_units(affine)
        return None if self.linear is None else self.linear.kept(units)


def _in_float64(split: Split) -> Split:
    """The same split in float64, or ``split`` where that is float64 already or cannot be had."""
    if split.dtype == torch.float64:
        return split
    try:
        return split.in_float64()
    except NetworkError as error:
        logger.info("no float64 check: %s", error)
        return split
