# SPDX-License-Identifier: MIT
"""Some units of a layer, computed without the others: each is a window of what a stem computes, times a row of weights.

In: a network split at a layer, and units. Out: what ``unit_value`` takes, packed so that every product runs over
contiguous memory. The units of a convolution share its rows; those of a layer that is affine in the latent have one
each.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from egbas.machine.compiled import compiled
from egbas.network.graph.fold import fold
from egbas.network.graph.last_linear import Linear
from egbas.network.split import Split
from egbas.region.affine import AffineUnits

Array = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]
_TOLERANCE = 1e-9  # relative, in float64
_N_PROBES = 3
_N_TIMED, _N_TRIES = 8, 3
_LONG = 5e-3  # seconds, of a single latent, from which on a batch need not be tried
_SCALES = (1.0, 10.0, 100.0)  # of the values that the map above the linear one is tried at


class Packed(NamedTuple):
    """Units as products of windows and rows: h = scale * <window, row> + offset.

    A window is a rectangle of positions in x (n, h, w c), where the c channels of a position lie side by side. What of
    a window lies outside x is left out.
    """

    rows: Float[Array, "r kh kw_c"]  # weights
    row: Int[Integers, " k"]  # of each unit
    height: Int[Integers, " k"]  # of its window, in positions
    width: Int[Integers, " k"]  # of its window, in values
    x_top: Int[Integers, " k"]  # where the window begins in x
    x_left: Int[Integers, " k"]  # in values
    row_top: Int[Integers, " k"]  # where it begins in the row
    row_left: Int[Integers, " k"]  # in values
    scale: Float[Array, " k"]
    offset: Float[Array, " k"]


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptUnits:
    """Some units of a layer.

    Attributes:
        stem: maps latents (n, d) to x (n, h, w c).
        packed: the units.
        seconds: that the stem takes for a latent among several; 0 where it hands the latent on.
        shared: the same object for all units whose stem is the same function.
    """

    stem: Callable[[Tensor], Array]
    packed: Packed
    seconds: float
    shared: object

    @property
    def are_of_the_latent(self) -> bool:
        """Whether x is the latent itself: then no network has to be asked."""
        return self.stem is _as_they_are

    def values(self, x: Float[Array, "n h w_c"]) -> Float[Array, "n k"]:
        """Their pre-activations."""
        values = np.empty((len(x), len(self.packed.row)))
        fill_values(x, self.packed, values)
        return values


@compiled(is_sum=True)
@no_type_check
def unit_value(x, packed, unit):
    """Pre-activation of one unit.

    Args:
        x: (h, w c) of one latent.
        packed: the units.
        unit: which of them.
    """
    # Indices without a sign: numba asks of others whether they count from the end. A slice of an array for each product
    # would take longer than the product.
    rows, row, width = packed.rows, np.uint64(packed.row[unit]), np.uint64(packed.width[unit])
    top, left = np.uint64(packed.x_top[unit]), np.uint64(packed.x_left[unit])
    row_top, row_left = np.uint64(packed.row_top[unit]), np.uint64(packed.row_left[unit])
    total = 0.0
    for i in range(np.uint64(packed.height[unit])):
        run = np.float32(0.0)  # in the precision of both
        for j in range(width):
            run += x[top + i, left + j] * rows[row, row_top + i, row_left + j]
        total += run
    return packed.scale[unit] * total + packed.offset[unit]


@compiled()
@no_type_check
def fill_values(x, packed, values):
    """Pre-activations (n, k) of all units; x is (n, h, w c)."""
    for i in range(len(x)):
        for unit in range(len(packed.row)):
            values[i, unit] = unit_value(x[i], packed, unit)


def affine_kept_units(affine: AffineUnits) -> KeptUnits:
    """Units that are affine in the latent: the stem hands it on, and each window is all of it."""
    rows = np.ascontiguousarray(affine.weight.T.float().numpy())[:, None]
    scale, offset = np.ones(len(rows)), affine.offset.double().numpy()
    return KeptUnits(stem=_as_they_are, packed=_dense(rows, scale, offset), seconds=0.0, shared=_as_they_are)


def _as_they_are(z: Float[Tensor, "n d"]) -> Float[Array, "n h w_c"]:
    return _by_position(z.float())


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearLayer:
    """A layer whose units are products with what a stem computes.

    Attributes:
        split: the network split at the layer, in float32.
        below: maps latents (n, *latent_shape) to x: the stem of its head.
        linear: the linear map, in float64.
        in_shape: of its input, without the batch.
        out_shape: of its output.
        scale: (units,) that its output, without its bias, is multiplied by.
        offset: (units,) that is added.
    """

    split: Split
    below: Callable[[Tensor], Tensor]
    linear: Linear
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    scale: Float[Tensor, " units"]
    offset: Float[Tensor, " units"]

    @classmethod
    def of(cls, split: Split, exact: Split) -> "LinearLayer | None":
        """Find it; None where the layer has no such form, or the network is not in float32 on the processor.

        Args:
            split: the network split at the layer.
            exact: the same in float64.
        """
        if split.dtype != torch.float32 or exact.dtype != torch.float64 or split.device.type != "cpu":
            return None
        head, exact_head = split.last_linear(), exact.last_linear()
        if head is None or exact_head is None:
            return None
        linear, latent = exact_head.linear, exact.prepare(torch.ones(1, split.latent_size, dtype=torch.float64))
        with torch.no_grad():
            x = exact_head.stem(latent)
            output = linear(x)
            is_fit = output.ndim == (2 if isinstance(linear, nn.Linear) else 4) and output.numel() == split.layer.units
            elementwise = _elementwise(exact_head.post, output) if is_fit else None
        if elementwise is None:
            return None
        scale, offset = elementwise
        if linear.bias is not None:
            bias = linear.bias.view(-1, *[1] * (output.ndim - 2)).expand_as(output[0])
            offset = offset + scale * bias.flatten()
        shapes = {"in_shape": tuple(x.shape[1:]), "out_shape": tuple(output.shape[1:])}
        probes = torch.randn(
            _N_PROBES, split.latent_size, generator=torch.Generator().manual_seed(0), dtype=torch.float32
        )
        latents = split.prepare(probes)
        with torch.no_grad():
            folded = fold(head.stem, latents, expected=head.stem(latents.clone()))
        below = (folded or head.stem).forward
        return cls(split=split, below=below, linear=linear, **shapes, scale=scale, offset=offset)

    def stem(self, z: Float[Tensor, "n d"]) -> Float[Array, "n h w_c"]:
        """Compute x of latents z."""
        with torch.no_grad():
            return _by_position(self.below(self.split.prepare(z)))

    @cached_property
    def seconds(self) -> float:
        """That the stem takes for a latent among several; the best of a few tries."""
        best = math.inf
        for n in (1, *[_N_TIMED] * _N_TRIES):
            start = time.perf_counter()
            self.stem(torch.zeros(n, self.split.latent_size, dtype=torch.float32))
            best = min(best, (time.perf_counter() - start) / n)
            if best > _LONG:
                break
        return best

    def kept(self, units: Int[Tensor, " k"]) -> KeptUnits:
        """Some of its units."""
        flat = units.cpu().numpy()
        scale, offset = self.scale.numpy()[flat], self.offset.numpy()[flat]
        if isinstance(self.linear, nn.Linear):
            rows = self.linear.weight.float().numpy()[flat][:, None]
            packed = _dense(rows, scale, offset)
        else:
            packed = _windows(self, flat, scale, offset)
        return KeptUnits(stem=self.stem, packed=packed, seconds=self.seconds, shared=self)


def _elementwise(
    post: Callable[[Tensor], Tensor], like: Tensor
) -> tuple[Float[Tensor, " units"], Float[Tensor, " units"]] | None:
    """Scale and offset of each value that ``post`` maps by itself; None where it does not."""
    offset = post(torch.zeros_like(like)).flatten()
    if offset.numel() != like.numel():
        return None
    scale = post(torch.ones_like(like)).flatten() - offset
    rng = torch.Generator().manual_seed(0)
    for size in _SCALES:
        values = size * torch.randn(like.shape, generator=rng, dtype=like.dtype)
        expected = scale * values.flatten()
        bound = _TOLERANCE * (expected.abs() + offset.abs())
        if not bool(((post(values.clone()).flatten() - expected - offset).abs() <= bound).all()):
            return None
    return scale, offset


def _dense(rows: Float[Array, "k 1 m"], scale: Array, offset: Array) -> Packed:
    """Units that take all of x, each with a row of its own."""
    zeros, ones = np.zeros(len(rows), np.int64), np.ones(len(rows), np.int64)
    return Packed(rows, np.arange(len(rows)), ones, ones * rows.shape[2], zeros, zeros, zeros, zeros, scale, offset)


def _windows(layer: LinearLayer, flat: Int[Integers, " k"], scale: Array, offset: Array) -> Packed:
    """Units of a convolution. A row is for a channel, and in a transposed one for a phase of the strides, too."""
    linear = layer.linear
    assert not isinstance(linear, nn.Linear)
    channel, *positions = np.unravel_index(flat, layer.out_shape)
    axes = [_axis(linear, axis, position, layer.in_shape[1 + axis]) for axis, position in enumerate(positions)]
    keys, row = np.unique(np.stack([channel, axes[0].phase, axes[1].phase], axis=1), axis=0, return_inverse=True)
    kernel = linear.weight.float().numpy()  # (out, in, kh, kw)
    if isinstance(linear, nn.ConvTranspose2d):
        kernel = kernel.swapaxes(0, 1)
    most = [max(len(taps) for taps in axis.taps) for axis in axes]
    c = kernel.shape[1]
    rows = np.zeros((len(keys), most[0], most[1] * c), np.float32)
    for into, (out, *phases) in zip(rows, keys, strict=True):
        y, x = (axis.taps[phase] for axis, phase in zip(axes, phases, strict=True))
        into[: len(y), : len(x) * c] = kernel[out][:, y][:, :, x].transpose(1, 2, 0).reshape(len(y), len(x) * c)
    vertical, horizontal = axes
    return Packed(
        rows=rows,
        row=row.reshape(-1),
        height=vertical.size,
        width=horizontal.size * c,
        x_top=vertical.x_start,
        x_left=horizontal.x_start * c,
        row_top=vertical.row_start,
        row_left=horizontal.row_start * c,
        scale=scale,
        offset=offset,
    )


class _Axis(NamedTuple):
    """The windows of units along one axis, in positions, as far as they lie within x."""

    x_start: Int[Integers, " k"]
    row_start: Int[Integers, " k"]
    size: Int[Integers, " k"]
    phase: Int[Integers, " k"]
    taps: list[Int[Integers, " taps"]]  # of each phase: the positions of the kernel that it meets, in the order of x


def _axis(linear: nn.Conv2d | nn.ConvTranspose2d, axis: int, position: Int[Integers, " k"], extent: int) -> _Axis:
    size, stride, padding = linear.kernel_size[axis], linear.stride[axis], int(linear.padding[axis])
    if isinstance(linear, nn.Conv2d):
        taps, phase, start = [np.arange(size)], np.zeros_like(position), position * stride - padding
    else:
        # Position y of x meets position i + padding - stride y of the kernel.
        taps = [np.arange(phase, size, stride)[::-1] for phase in range(stride)]
        last, phase = np.divmod(position + padding, stride)
        start = last + 1 - np.array([len(each) for each in taps])[phase]
    end = np.minimum(start + np.array([len(each) for each in taps])[phase], extent)
    begin = np.maximum(start, 0)
    # A window outside x is empty.
    return _Axis(np.minimum(begin, extent), begin - start, np.maximum(end - begin, 0), phase, taps)


def _by_position(x: Tensor) -> Float[Array, "n h w_c"]:
    """x (n, c, h, w) or (n, m) with the channels of a position side by side."""
    if x.ndim == 2:
        return x.contiguous().numpy()[:, None]
    return x.permute(0, 2, 3, 1).contiguous().flatten(2).numpy()
