# SPDX-License-Identifier: MIT
"""The rivals of exact samples draw from the same distribution; how fast, no test asserts."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.exact_rivals import contains_row, normal_between, polytope_row


@pytest.mark.parametrize(
    ("low", "high", "mean"), [(-1.0, 2.0, 0.5), (4.0, 5.0, 0.0), (-9.0, -6.0, 1.0), (0.0, np.inf, 0.0)]
)
def test_a_normal_between_two_bounds(low: float, high: float, mean: float) -> None:
    rng, n = np.random.default_rng(0), 20_000
    drawn = normal_between(np.full(n, low), np.full(n, high), np.full(n, mean), rng)
    assert low <= drawn.min() and drawn.max() <= high
    assert stats.kstest(drawn, stats.truncnorm(low - mean, high - mean, loc=mean).cdf).pvalue > 0.001


def test_rows_have_egbas_and_its_rivals() -> None:
    for row in (polytope_row(3, seconds=0.2, wanted=100), contains_row(3, seconds=0.2, wanted=100)):
        assert row["egbas"]["ess_per_second"] > 0 and row["egbas"]["r_hat"] <= 1.05
        assert row["hit_and_run"]["ratio"] > 0 and row["hit_and_run"]["gap"] < 6
