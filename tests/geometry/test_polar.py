# SPDX-License-Identifier: MIT
"""The distribution of polar angles in a cap against what is known in closed form."""

import math

import pytest
import torch
from torch import Tensor

from egbas.geometry.polar import polar_angles

UNIFORM = torch.linspace(0, 1, 10_001, dtype=torch.float64)


def angles(d: int, largest: float, uniform: Tensor = UNIFORM) -> Tensor:
    return polar_angles(uniform, d=d, largest=largest)


@pytest.mark.parametrize("largest", [1e-3, 0.7, math.pi / 2, 2.5, math.pi])
def test_on_a_circle_angles_are_uniform(largest: float) -> None:
    torch.testing.assert_close(angles(2, largest), largest * UNIFORM, rtol=0, atol=1e-9)


@pytest.mark.parametrize("largest", [1e-3, 0.7, math.pi / 2, 2.5, math.pi])
def test_on_a_sphere_the_area_of_a_cap_is_archimedes(largest: float) -> None:
    # 2 pi (1 - cos t), written so that small caps lose no digits.
    area = torch.sin(angles(3, largest) / 2).square() / math.sin(largest / 2) ** 2
    torch.testing.assert_close(area, UNIFORM, rtol=0, atol=1e-7)


@pytest.mark.parametrize("largest", [0.3, 1.0, 2.0, math.pi])
def test_in_four_dimensions_by_the_antiderivative_of_sin_squared(largest: float) -> None:
    drawn = angles(4, largest)
    share = (drawn - torch.sin(drawn) * torch.cos(drawn)) / (largest - math.sin(largest) * math.cos(largest))
    torch.testing.assert_close(share, UNIFORM, rtol=0, atol=1e-7)


@pytest.mark.parametrize("d", [8, 64, 512, 4096])
def test_a_small_cap_is_a_flat_ball(d: int) -> None:
    largest = 1e-3 / math.sqrt(d)  # the sphere's curvature then changes the density by a millionth
    share = (angles(d, largest) / largest) ** (d - 1)
    torch.testing.assert_close(share, UNIFORM, rtol=0, atol=2e-5)


@pytest.mark.parametrize("d", [3, 10, 64, 512])
def test_the_whole_sphere_is_a_normalised_gaussian(d: int) -> None:
    """By moments of one coordinate of a point uniform on the sphere: E x^2 = 1/d, E x^4 = 3 / (d (d + 2))."""
    middle = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    x = torch.cos(angles(d, math.pi, middle))
    assert x.mean().item() == pytest.approx(0, abs=1e-6)
    assert x.square().mean().item() * d == pytest.approx(1, rel=1e-3)
    assert x.pow(4).mean().item() * d * (d + 2) / 3 == pytest.approx(1, rel=2e-3)
    hemisphere = torch.cos(angles(d, math.pi / 2, middle)).mean().item()
    expected = math.exp(math.lgamma(d / 2) - math.lgamma((d + 1) / 2)) / math.sqrt(math.pi)
    assert hemisphere == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("largest", [0.5, 1.2, math.pi / 2])
def test_in_512_dimensions_points_lie_close_to_the_rim(largest: float) -> None:
    """By the next order of Laplace's method where the cap ends before the equator: t = largest - Exp / (510 cot)."""
    drawn = angles(512, largest)
    assert drawn.max() == pytest.approx(largest)
    if largest < 1.5:
        slope = 510 / math.tan(largest)
        assert (largest - drawn).mean().item() == pytest.approx(1 / slope, rel=0.03)
    else:  # half a Gaussian of deviation 1 / sqrt(510) before the equator
        assert (largest - drawn).square().mean().sqrt().item() == pytest.approx(1 / math.sqrt(510), rel=0.01)


@pytest.mark.parametrize("d", [2, 3, 64, 512])
@pytest.mark.parametrize("largest", [0.01, 1.0, 3.0, math.pi])
def test_angles_rise_with_the_uniform_number_within_the_cap(d: int, largest: float) -> None:
    drawn = angles(d, largest)
    assert (drawn.diff() > 0).all()
    assert drawn[0] >= 0
    assert drawn[-1] <= largest
