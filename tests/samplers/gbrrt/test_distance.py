# SPDX-License-Identifier: MIT
"""The distance against exact arithmetic, and that it is the same for all who ask."""

from fractions import Fraction

import numpy as np
import pytest

from egbas.samplers.gbrrt.distance import square_distance


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 7, 16, 17, 64, 513])
def test_squares_are_right_to_the_last_digits(d: int, dtype: type) -> None:
    rng = np.random.default_rng(d)
    a, b = (7 + rng.standard_normal((2, d))).astype(dtype)  # far from the origin, where a product formula cancels
    exact = sum((Fraction(float(x)) - Fraction(float(y))) ** 2 for x, y in zip(a, b, strict=True))
    assert square_distance(a, b) == pytest.approx(float(exact), rel=1e-13)
    assert square_distance(a, b) == square_distance(b, a)
    assert square_distance(a, a) == 0.0
