# SPDX-License-Identifier: MIT
"""Steps of Algorithm 2, flat and along great circles, against their formulas."""

import math

import numpy as np
import pytest
import torch

from egbas.geometry.step import FLAT, advance, advance_all


def test_a_flat_step_is_the_paper_s() -> None:
    out = np.zeros(2)
    advance(np.array([1.0, 1.0]), np.array([4.0, 5.0]), 5.0, 0.5, FLAT, out)
    np.testing.assert_allclose(out, [1.3, 1.4])


def test_a_quarter_of_a_great_circle() -> None:
    out = np.zeros(3)
    advance(np.array([2.0, 0.0, 0.0]), np.array([0.0, 0.0, 2.0]), math.sqrt(8), math.pi / 2, 2.0, out)
    np.testing.assert_allclose(out, [math.sqrt(2), 0.0, math.sqrt(2)], atol=1e-12)


@pytest.mark.parametrize("radius", [FLAT, 2.0])
def test_where_the_target_gives_no_direction_the_step_stays(radius: float) -> None:
    origin, out = np.array([2.0, 0.0]), np.zeros(2)
    advance(origin, origin, 0.0, 0.5, radius, out)
    assert out.tolist() == [2.0, 0.0]


@pytest.mark.parametrize("radius", [FLAT, 3.0])
def test_single_precision_is_rounded_once(radius: float) -> None:
    rng = torch.Generator().manual_seed(0)
    origins, targets = (torch.nn.functional.normalize(torch.randn(9, 5, generator=rng)) * 3 for _ in range(2))
    chords = (origins - targets).double().norm(dim=1)
    single = advance_all(origins, targets, chords, 0.25, radius)
    double = advance_all(origins.double(), targets.double(), chords, 0.25, radius)
    assert single.dtype == torch.float32
    assert torch.equal(single, double.float())
