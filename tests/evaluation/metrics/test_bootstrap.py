# SPDX-License-Identifier: MIT

import pytest
import torch

from egbas.errors import ShapeError
from egbas.evaluation.metrics.bootstrap import bootstrap_interval, bootstrap_ratio


def test_interval_of_the_mean() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    interval = bootstrap_interval(values)
    assert interval is not None
    # For a normal sample: mean +- 1.96 s / sqrt(n); 5% of slack for 10,000 resamples.
    mean, spread = sum(values) / 400, torch.tensor(values).std().item() / 20
    assert interval == pytest.approx((mean - 1.96 * spread, mean + 1.96 * spread), abs=0.1 * spread)
    assert bootstrap_interval(values) == interval
    assert bootstrap_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)
    assert bootstrap_interval([2.0]) is None


def test_interval_of_a_ratio_is_paired() -> None:
    reference = [1.0, 10.0, 3.0, 0.5]
    assert bootstrap_ratio([0.8 * value for value in reference], reference) == pytest.approx((0.8, 0.8))
    with pytest.raises(ShapeError, match="pairs"):
        bootstrap_ratio([1.0], reference)


def test_a_reference_that_may_be_zero_has_no_interval() -> None:
    assert bootstrap_ratio([1.0, 2.0, 3.0], [0.0, 0.0, 0.3]) is None
