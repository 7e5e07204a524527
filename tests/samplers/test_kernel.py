# SPDX-License-Identifier: MIT
import numpy as np
import torch

from egbas.region import Region
from egbas.samplers.hamiltonian import HamiltonianKernel
from egbas.samplers.hit_and_run import HitAndRunKernel
from egbas.samplers.kernel import Kernel, LinearRegion, Membership
from egbas.samplers.target import Gaussian
from tests.samplers.closed_forms import Oracle, Polytope


def test_membership_is_asked_in_numpy_and_counted() -> None:
    asks = Membership(Oracle(lambda z: z[:, 0] > 0))
    assert asks(np.array([[1.0], [-1.0], [2.0]])).tolist() == [True, False, True]
    assert asks(np.zeros((0, 1))).tolist() == []
    assert asks.evaluations == 3


def test_what_a_region_offers() -> None:
    oracle, polytope = Oracle(lambda z: z[:, 0] > 0), Polytope([[1.0]], [0.0])
    assert isinstance(oracle, Region) and not isinstance(oracle, LinearRegion)
    assert isinstance(polytope, LinearRegion)


def test_both_kernels_are_kernels() -> None:
    region = Polytope([[1.0]], [0.0])
    kernels: list[Kernel] = [
        HamiltonianKernel(region, region.walls, Gaussian(1)),
        HitAndRunKernel(region, Gaussian(1)),
    ]
    for kernel in kernels:
        rng = np.random.default_rng(0)
        z = kernel.adapt(torch.ones(3, 1), rng)
        assert kernel.draw(z, 2, rng).shape == (3, 2, 1) and kernel.evaluations > 0
