# SPDX-License-Identifier: MIT
"""The length against exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from egbas.geometry.length import square_length


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 7, 16, 17, 64, 513])
def test_a_square_is_right_to_the_last_digits(d: int, dtype: type) -> None:
    a = (7 + np.random.default_rng(d).standard_normal(d)).astype(dtype)
    assert square_length(a) == pytest.approx(float(sum(Fraction(float(x)) ** 2 for x in a)), rel=1e-13)
