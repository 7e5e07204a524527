# SPDX-License-Identifier: MIT
import torch
from torch import Tensor

from egbas.region import Intersection
from egbas.region.constraints import AffineConstraints, Constraints, JoinedConstraints
from egbas.samplers.normals import Reflections, constraints_for
from egbas.samplers.reflection import ReflectionConfig, ReflectionKernel
from egbas.samplers.target import Density, Gaussian, UniformSphere
from tests.runs import plane_run


class Half:
    """x >= 0, with constraints of its own."""

    def __init__(self, d: int = 2) -> None:
        self.d = d

    def contains(self, z: Tensor) -> Tensor:
        return z[:, 0] >= 0

    def constraints(self) -> Constraints:
        return AffineConstraints(weight=torch.eye(1, self.d), offset=torch.zeros(1))


class Oracle:
    def contains(self, z: Tensor) -> Tensor:
        return z[:, 0] >= 0


def test_constraints_by_what_the_region_is() -> None:
    region = plane_run().support.region
    of_layer = constraints_for(region, Gaussian(2))
    assert of_layer is not None
    assert of_layer.margins(plane_run().query[None]).shape == (1, len(region.units))
    assert constraints_for(Oracle(), Gaussian(2)) is None
    assert isinstance(constraints_for(Half(), Gaussian(2)), AffineConstraints)
    assert isinstance(constraints_for(Intersection([Half(), region]), Gaussian(2)), JoinedConstraints)
    assert constraints_for(Intersection([Half(), Oracle()]), Gaussian(2)) is None


def test_margins_have_the_sign_of_membership() -> None:
    region, z = plane_run().support.region, torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    constraints = constraints_for(region, Gaussian(2))
    assert constraints is not None
    clear = constraints.margins(z).amin(dim=1).abs() > 1e-4
    assert torch.equal((constraints.margins(z).amin(dim=1) >= 0)[clear], region.contains(z)[clear])


def test_kernels_know_what_they_may_spend() -> None:
    reflections = Reflections(ReflectionConfig(rounds=6, steps=300))
    kernel = reflections.kernel(Half(5), Gaussian(5), 600)
    assert isinstance(kernel, ReflectionKernel)
    assert kernel.config.most == 600
    assert reflections.kernel(Half(), Density(lambda z: z[:, 0], 2), 600) is None


def test_leaps_take_the_place_of_reflections_in_few_dimensions() -> None:
    for d in (2, 4):
        assert Reflections().kernel(Half(d), Gaussian(d), 600) is None
        assert isinstance(Reflections(always=True).kernel(Half(d), Gaussian(d), 600), ReflectionKernel)
    assert isinstance(Reflections().kernel(Half(3), UniformSphere(3, 1.7), 600), ReflectionKernel)


def test_starts_are_brought_inside() -> None:
    z = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    assert bool((Reflections().starts(Half(), Gaussian(2), z)[:, 0] >= 0).all())
    assert len(Reflections().starts(Oracle(), Gaussian(2), z)) == 0
