# SPDX-License-Identifier: MIT
"""Regions that are told by a formula, for the tests of the tree; and what these tests share."""

import torch
from torch import Tensor

from egbas.samplers.gbrrt import Tree


class Box:
    """The region |z_i| <= half in every coordinate; counts the latents it was asked for."""

    def __init__(self, half: float) -> None:
        self.half, self.n_tested = half, 0

    def contains(self, z: Tensor) -> Tensor:
        self.n_tested += len(z)
        return (z.abs() <= self.half).all(dim=1)


class Polytope:
    """The region A (z - centre) <= 1 for a drawn A: a random convex polytope around its centre."""

    def __init__(self, d: int, seed: int, n_faces: int = 12, centre: Tensor | None = None) -> None:
        self.faces = torch.randn(n_faces, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.centre = torch.zeros(d, dtype=torch.float64) if centre is None else centre.double()

    def contains(self, z: Tensor) -> Tensor:
        # Row by row: a matrix product may round differently for other numbers of rows.
        return torch.stack(
            [bool(((self.faces * (row.double() - self.centre)).sum(1) <= 1).all()) * torch.tensor(1) for row in z]
        ).bool()


class Ball:
    """The region |z| <= 0.4."""

    def contains(self, z: Tensor) -> Tensor:
        return z.norm(dim=1) <= 0.4


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def on_sphere(d: int, radius: float = 2.0) -> Tensor:
    """A query away from all axes, in float64."""
    z = torch.linspace(-1.0, 2.0, d, dtype=torch.float64)
    return radius * z / z.norm()


def assert_same(a: Tree, b: Tree, tolerance: float = 0.0) -> None:
    assert (a.status, a.step_size, a.half_width) == (b.status, b.step_size, b.half_width)
    assert torch.equal(a.parents, b.parents)
    assert torch.equal(a.rejected_reason, b.rejected_reason)
    torch.testing.assert_close(a.latents, b.latents, rtol=0, atol=tolerance)
    torch.testing.assert_close(a.rejected, b.rejected, rtol=0, atol=tolerance)
