# SPDX-License-Identifier: MIT
import math

import pytest
import torch
from torch import Tensor

from egbas.evaluation.metrics.spread import PixelSpread, changed_share, deviation

E1, E2 = [1.0, 0.0], [0.0, 1.0]


def pictures(*rows: list[float]) -> Tensor:
    """Images (n, 1, 1, 2) of two pixels."""
    return torch.tensor(rows, dtype=torch.float32)[:, None, None, :]


def test_deviation_by_hand() -> None:
    # Pixel 1: 0, 2, 4 with variance 8/3; pixel 2 is constant.
    assert deviation(pictures([0, 1], [2, 1], [4, 1])) == pytest.approx(math.sqrt(8 / 3) / 2)
    assert deviation(pictures([1, -1])) == 0
    assert deviation(pictures(E1, E1, E1)) == 0


def test_deviation_of_a_known_distribution() -> None:
    images = torch.rand(20_000, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert deviation(images) == pytest.approx(1 / math.sqrt(3), rel=0.01)


@pytest.mark.parametrize("size", [1, 4, 11])
def test_spread_of_batches_is_that_of_all(size: int) -> None:
    images = 1e6 + torch.rand(11, 2, 3, 3, dtype=torch.float64)  # far from zero, where sums of squares cancel
    spread = PixelSpread()
    for batch in images.split(size):
        spread.add(batch)
    assert spread.n == 11
    torch.testing.assert_close(spread.mean, images.mean(dim=0))
    torch.testing.assert_close(spread.deviation, images.std(dim=0, correction=0), rtol=1e-8, atol=0)


def test_changed_share_of_known_changes() -> None:
    query = torch.zeros(1, 4, 4)
    one, all_pixels, half = query.clone(), query + 3.0, query.clone()
    one[0, 1, 2], half[0, :2] = 5.0, -2.0
    assert changed_share(one[None], query) == pytest.approx(1 / 16)
    assert changed_share(all_pixels[None], query) == pytest.approx(1.0)
    assert changed_share(torch.stack([one, half, query]), query) == pytest.approx((1 / 16 + 1 / 2) / 2)
    assert changed_share([one[None], torch.stack([query, half])], query) == pytest.approx((1 / 16 + 1 / 2) / 2)
