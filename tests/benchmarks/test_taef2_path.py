# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor

from benchmarks.taef2_path import largest_share, share_of


class _Half:
    def contains(self, z: Tensor) -> Tensor:
        return z[:, 0] > 0


def test_all_draws_are_asked_about() -> None:
    inside, asked = share_of(_Half(), 700, 3)
    assert asked == 700
    assert inside == pytest.approx(350, abs=6 * 13)  # six deviations of a count
    assert share_of(_Half(), 300, 3) == share_of(_Half(), 300, 3)


def test_none_of_a_thousand_is_at_most_three_in_a_thousand() -> None:
    assert largest_share(0, 1000) == pytest.approx(1 - 0.05**0.001)
    assert largest_share(1000, 1000) == 1
    assert 0.5 < largest_share(350, 700) < 0.54


def test_draws_have_their_size() -> None:
    class Sizes:
        def contains(self, z: Tensor) -> Tensor:
            assert z.shape[1] == 5 and z.dtype == torch.float32
            return torch.zeros(len(z), dtype=torch.bool)

    assert share_of(Sizes(), 10, 5) == [0, 10]
