# SPDX-License-Identifier: MIT
"""Groups of units that share one theta: the channels of a layer, or patches of its positions.

Deviation from paper: Algorithm 1 has a theta for each unit. The set is still that of the units with theta > p, and each
of them bounds the region (Definition 5).
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from egbas.beropt.config import CHANNEL, UNIT, patch_side
from egbas.errors import ConfigError
from egbas.network import Layer


def groups_of(layer: Layer, units: str) -> Int[Tensor, " units"] | None:
    """The group of each unit of a layer, int64 on the CPU; None where each unit is one by itself.

    Args:
        layer: of the shape (channels, positions ...), as the layers of torch's convolutions are, or (positions ...,
            channels), as those of transformers are.
        units: as in ``BerOptConfig``.

    Raises:
        ConfigError: the layer has no channels with positions.
    """
    side = patch_side(units)
    if units == UNIT:
        return None
    if len(layer.shape) < 2:
        raise ConfigError(
            f"got units={units!r} at layer {layer.path!r}, whose shape {layer.shape} has no channels and positions; "
            "expected a layer such as a convolution's, (channels, height, width): choose one, or leave units out"
        )
    channels, places = _parted(layer)
    n_places = math.prod(places)
    if units == CHANNEL:
        each = torch.arange(channels, dtype=torch.int64)
        return each.repeat(n_places) if layer.channels_last else each.repeat_interleave(n_places)
    assert side is not None  # nothing else is known
    patches = torch.zeros(places, dtype=torch.int64)
    for axis, length in enumerate(places):
        along = torch.arange(length, dtype=torch.int64) // side
        patches = patches * -(-length // side) + along.view(-1, *[1] * (len(places) - axis - 1))
    patches = patches.flatten()
    return patches.repeat_interleave(channels) if layer.channels_last else patches.repeat(channels)


def _parted(layer: Layer) -> tuple[int, tuple[int, ...]]:
    """The number of channels of a layer, and the shape of its positions."""
    shape = layer.shape
    return (shape[-1], shape[:-1]) if layer.channels_last else (shape[0], shape[1:])


def told_groups(layer: Layer, units: str, kept: Tensor) -> tuple[int, int, str] | None:
    """How many groups a set has units of, of how many, and what they are called; None where each unit is by itself.

    Args:
        layer: the layer.
        units: as in ``BerOptConfig``.
        kept: (k,) int64 indices of the kept units.
    """
    groups = groups_of(layer, units)
    if groups is None:
        return None
    what = "channels" if units == CHANNEL else f"patches of {_sides(_parted(layer)[1], units)} positions"
    return len(groups[kept.cpu()].unique()), int(groups.max()) + 1, what


def _sides(places: Sequence[int], units: str) -> str:
    return " x ".join([str(patch_side(units))] * len(places))
