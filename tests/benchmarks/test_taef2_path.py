# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor

from benchmarks.taef2_path import inside_of


class _Half:
    def contains(self, z: Tensor) -> Tensor:
        return z[:, 0] > 0


def test_draws_that_lie_inside_are_kept() -> None:
    inside, asked = inside_of(_Half(), 700, 3)
    assert asked == 700 and inside.shape[1] == 3
    assert len(inside) == pytest.approx(350, abs=6 * 13)  # six deviations of a count
    assert bool((inside[:, 0] > 0).all())
    assert torch.equal(inside_of(_Half(), 300, 3)[0], inside_of(_Half(), 300, 3)[0])


def test_where_no_draw_lies_inside_there_is_none() -> None:
    class Nothing:
        def contains(self, z: Tensor) -> Tensor:
            return torch.zeros(len(z), dtype=torch.bool)

    inside, asked = inside_of(Nothing(), 10, 5)
    assert inside.shape == (0, 5) and asked == 10
