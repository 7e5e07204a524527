# SPDX-License-Identifier: MIT
"""Regions whose moments are known, and z-scores of chains against them."""

from collections.abc import Callable

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from egbas.region.constraints import FunctionConstraints
from egbas.samplers.flow import Flow

Function = Callable[[Tensor], Tensor]


class Told:
    """The region in which all margins of a function are at least 0."""

    def __init__(self, margins: Function) -> None:
        self.margins, self.n_asked = margins, 0

    def contains(self, z: Tensor) -> Tensor:
        self.n_asked += len(z)
        return (self.margins(z) >= 0).all(dim=1)


def constraints(margins: Function, k: int) -> FunctionConstraints:
    return FunctionConstraints(function=margins, scale=torch.ones(k, dtype=torch.float64), at_once=4096)


def orthant(z: Tensor) -> Tensor:
    return z


def wrong_normals(z: Tensor) -> Tensor:
    """Says nothing of the region that it is used for."""
    return 2 * torch.sin(3 * z) + z.flip(1) - 0.5


def ball(z: Tensor) -> Tensor:
    return 4 - z.square().sum(dim=1, keepdim=True)


def outside_of_ball(z: Tensor) -> Tensor:
    return -ball(z)


def slab(z: Tensor) -> Tensor:
    return torch.stack([z[:, 0] - 0.2, 0.9 - z[:, 0]], dim=1)


def cone(z: Tensor) -> Tensor:
    """Within 60 degrees of the first axis."""
    return z[:, :1] - 0.5 * z.norm(dim=1, keepdim=True)


def skewed(d: int = 3) -> Flow:
    """A flow that prefers directions which have nothing to do with any of the regions."""
    basis, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((d, d)))
    return Flow(basis=basis, rates=np.linspace(1.0, 0.2, d), is_curved=True)


def z_score(values: Tensor, truth: float) -> float:
    """Of the mean of values (chains, n) of independent chains."""
    means = values.mean(dim=1)
    return float((means.mean() - truth) / (means.std() / len(means) ** 0.5))


MEAN_HALF = (2 / np.pi) ** 0.5  # of |N(0, 1)|
_SHORT, _LONG = stats.chi2.cdf(4, [3, 5]), stats.chi2.sf(4, [3, 5])
_SLAB = stats.truncnorm(0.2, 0.9)
# Of each region of the prior in three dimensions: a state inside, and functions with their means.
MOMENTS: dict[Function, tuple[Tensor, list[tuple[Function, float]]]] = {
    orthant: (
        torch.ones(3),
        [
            *((lambda x, i=i: x[..., i], MEAN_HALF) for i in range(3)),
            (lambda x: x[..., 0] ** 2, 1.0),
            (lambda x: x[..., 2] ** 4, 3.0),
            (lambda x: x[..., 0] * x[..., 1], MEAN_HALF**2),
        ],
    ),
    ball: (
        torch.ones(3),
        [
            (lambda x: x[..., 0], 0.0),
            (lambda x: x[..., 0] * x[..., 2], 0.0),
            (lambda x: x.square().sum(-1), float(3 * _SHORT[1] / _SHORT[0])),
        ],
    ),
    outside_of_ball: (
        2 * torch.ones(3),
        [
            (lambda x: x[..., 0], 0.0),
            (lambda x: x[..., 0] * x[..., 2], 0.0),
            (lambda x: x.square().sum(-1), float(3 * _LONG[1] / _LONG[0])),
        ],
    ),
    slab: (
        torch.tensor([0.5, 0.0, 0.0]),
        [
            (lambda x: x[..., 0], float(_SLAB.mean())),
            (lambda x: x[..., 0] ** 2, float(_SLAB.moment(2))),
            (lambda x: x[..., 1], 0.0),
            (lambda x: x[..., 1] ** 2, 1.0),
        ],
    ),
    cone: (
        torch.tensor([1.0, 0.1, 0.1]),
        [
            (lambda x: x[..., 0] / x.norm(dim=-1), 0.75),  # the cosine is uniform from 1/2 to 1
            (lambda x: x.square().sum(-1), 3.0),
            (lambda x: x[..., 1], 0.0),
        ],
    ),
}
