# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.beropt.flips import doublings, each_flipped, errors_of, first_flipped

KEPT = torch.tensor([True, False, False, True])
ORDER = torch.tensor([3, 1, 2])


def test_one_unit_each_is_flipped() -> None:
    assert each_flipped(KEPT, ORDER).int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 1], [1, 0, 1, 1]]
    assert each_flipped(KEPT, ORDER[:0]).shape == (0, 4)


def test_the_first_so_many_units_are_flipped() -> None:
    assert first_flipped(KEPT, ORDER, [1, 3]).int().tolist() == [[1, 0, 0, 0], [1, 1, 1, 0]]
    assert KEPT.tolist() == [True, False, False, True]  # the set itself stays


@pytest.mark.parametrize(("n", "expected"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])])
def test_doublings(n: int, expected: list[int]) -> None:
    assert doublings(n) == expected


def test_distances_of_sets_are_asked_in_parts_and_without_gradients() -> None:
    asked: list[int] = []

    def distance(masks: torch.Tensor) -> torch.Tensor:
        asked.append(len(masks))
        assert not torch.is_grad_enabled()
        return masks.sum(dim=1)

    sets = torch.ones(40, 3, dtype=torch.bool)
    assert errors_of(sets, distance).tolist() == [3.0] * 40
    assert sum(asked) == 40 and max(asked) <= 16
