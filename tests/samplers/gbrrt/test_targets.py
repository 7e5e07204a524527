# SPDX-License-Identifier: MIT
import math

import pytest
import torch

from egbas.geometry import Flat, Sphere
from egbas.samplers.gbrrt.targets import Targets
from tests.regions import rng


def test_targets_are_uniform_in_the_box() -> None:
    z0 = torch.tensor([5.0, -3.0], dtype=torch.float64)
    targets = Targets(Flat(z0), 2.0, 20_000, rng=rng())
    drawn = torch.cat([targets.draw(n) for n in (1, 999, 19_000)]) - z0
    assert drawn.abs().max() <= 2.0
    # Mean and variance of U(-2, 2) are 0 and 4/3; five standard errors of 20,000 draws.
    assert drawn.mean().abs() < 5 * (4 / 3 / 40_000) ** 0.5
    assert abs(drawn.var().item() - 4 / 3) < 0.05
    assert len(targets.draw(10)) == 0


@pytest.mark.parametrize("geometry", [Flat, Sphere])
def test_the_stream_does_not_depend_on_how_many_are_asked_for(geometry: type[Flat] | type[Sphere]) -> None:
    z0 = torch.tensor([5.0, -3.0, 1.0], dtype=torch.float64)
    one, many = (Targets(geometry(z0), 2.0, 1000, rng=rng(4)) for _ in range(2))
    pieces = torch.cat([many.draw(n) for n in (1, 300, 7, 0, 692)])
    assert torch.equal(one.draw(5000), pieces)
    assert len(many.draw(1)) == 0


def test_targets_on_a_sphere_are_uniform_in_the_cap() -> None:
    z0 = torch.tensor([0.0, 3.0, 4.0], dtype=torch.float64)  # radius 5
    drawn = Targets(Sphere(z0), 5 * math.pi / 3, 20_000, rng=rng()).draw(20_000)
    torch.testing.assert_close(drawn.norm(dim=1), torch.full((20_000,), 5.0, dtype=torch.float64))
    # Archimedes: in three dimensions the height over the plane of the rim is uniform, here the cosine in 1/2..1.
    cosines = drawn @ z0 / 25
    assert cosines.min() >= 0.5 - 1e-9
    assert cosines.mean().item() == pytest.approx(0.75, abs=5 / 2 / 12**0.5 / 20_000**0.5)
    assert cosines.std().item() == pytest.approx(0.5 / 12**0.5, rel=0.02)
