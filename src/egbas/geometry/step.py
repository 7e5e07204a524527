# SPDX-License-Identifier: MIT
"""A step of Algorithm 2 in either geometry, compiled: the one piece of geometry inside the tree's innermost loop."""

from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egbas.machine.compiled import compiled

FLAT = 0.0  # the radius that stands for no sphere


@compiled()
@no_type_check
def advance(origin, target, chord, length, radius, out):
    """Go a length from the origin (d,) straight towards the target (d,); stay where that gives no direction.

    Args:
        origin: where the step starts.
        target: where it leads.
        chord: straight distance between them.
        length: of the step, in latent units.
        radius: of the sphere whose great circle is followed; ``FLAT``: a straight line.
        out: (d,) for the candidate.
    """
    if radius == FLAT:
        _advance_flat(origin, target, chord, length, out)
    else:
        _advance_on_sphere(origin, target, length, radius, out)


@compiled()
@no_type_check
def _advance_flat(origin, target, chord, length, out):
    """q + delta (z - q) / ||z - q||, in float64."""
    scale = length / chord if chord > 0 else 0.0
    for i in range(len(out)):
        out[i] = origin[i] + scale * (np.float64(target[i]) - np.float64(origin[i]))


@compiled()
@no_type_check
def _advance_on_sphere(origin, target, length, radius, out):
    """Along the great circle, in float64; the length of the step does not hang on how exact its direction is."""
    d = len(out)
    away = np.empty(d)
    for i in range(d):
        away[i] = np.float64(target[i]) - np.float64(origin[i])
    for _ in range(2):  # twice, so that cancellation leaves no component along the origin
        along = 0.0
        for i in range(d):
            along += away[i] * origin[i]
        along /= radius * radius
        for i in range(d):
            away[i] -= along * origin[i]
    square = 0.0
    for i in range(d):
        square += away[i] * away[i]
    if square == 0.0:
        for i in range(d):
            out[i] = origin[i]
        return
    cosine, sine = np.cos(length / radius), np.sin(length / radius) * radius / np.sqrt(square)
    square = 0.0
    for i in range(d):
        away[i] = cosine * origin[i] + sine * away[i]
        square += away[i] * away[i]
    scale = radius / np.sqrt(square)  # without it every step would add its rounding, and the tree would drift away
    for i in range(d):
        out[i] = away[i] * scale


def advance_all(
    origins: Float[Tensor, "n d"],
    targets: Float[Tensor, "n d"],
    chords: Float[Tensor, " n"],
    length: float,
    radius: float,
) -> Float[Tensor, "n d"]:
    """``advance`` for each row, on the processor."""
    out = torch.empty_like(origins, device="cpu", memory_format=torch.contiguous_format)
    pairs = zip(origins.cpu().numpy(), targets.to(origins).cpu().numpy(), chords.tolist(), out.numpy(), strict=True)
    for origin, target, chord, row in pairs:
        advance(np.ascontiguousarray(origin), np.ascontiguousarray(target), chord, length, radius, row)
    return out.to(origins.device)
