# SPDX-License-Identifier: MIT
"""Sets of a given error: the smallest one where that is known, and what holds for every set that comes out."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from egbas.beropt.completion import Effort, build_up, cut_down

Distance = Callable[[Tensor], Tensor]
STARTS = ["nothing", "everything", "half"]


def apart(values: list[float]) -> Distance:
    """Every unit has a pixel of its own: what a set loses is the norm of the values that it leaves out."""
    a = torch.tensor(values)
    return lambda masks: ((1 - masks) * a).norm(dim=1) / a.norm()


def mixed(seed: int, units: int = 10, pixels: int = 6) -> Distance:
    """Every unit is in every pixel, with drawn weights."""
    rng = torch.Generator().manual_seed(seed)
    weights, a = torch.randn(pixels, units, generator=rng), torch.rand(units, generator=rng) + 0.1
    x = weights @ a
    return lambda masks: ((masks - 1) * a @ weights.T).norm(dim=1) / x.norm()


def start_of(name: str, units: int) -> Tensor:
    return {"nothing": torch.zeros(units), "everything": torch.ones(units), "half": torch.arange(units) % 2}[name] > 0


def smallest(distance: Distance, units: int, error: float) -> int:
    """Size of the smallest of all sets that are faithful enough."""
    sets = torch.tensor(list(itertools.product([0.0, 1.0], repeat=units)))
    return int(sets[distance(sets) <= error].sum(dim=1).min())


def completed(start: Tensor, distance: Distance, error: float) -> Tensor:
    """Built up, and cut down again."""
    built = build_up(start, distance, error, Effort())
    assert built is not None
    return cut_down(built, distance, error, Effort())


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("error", "left_out"),  # of the norm 20 of (1, 2, 3, 5, 19)
    [(0.32, 4), (0.19, 3), (0.115, 2), (0.06, 1), (0.04, 0)],
)
def test_units_apart_are_kept_by_their_size(start: str, error: float, left_out: int) -> None:
    distance = apart([1.0, 2.0, 3.0, 5.0, 19.0])
    found = completed(start_of(start, 5), distance, error)
    assert found.tolist() == [False] * left_out + [True] * (5 - left_out)
    assert int(found.sum()) == smallest(distance, 5, error)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("error", [0.5, 0.2, 0.05])
def test_what_is_built_up_holds_its_start_and_keeps_the_error(error: float, start: str) -> None:
    for seed in range(8):
        first, distance = start_of(start, 10), mixed(seed)
        found = build_up(first, distance, error, Effort())
        if found is None:  # it stopped at a set to which no unit could be added with profit
            continue
        assert bool((found | ~first).all())
        assert distance(found[None].float()).item() <= error


@pytest.mark.parametrize("error", [0.5, 0.2, 0.05])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_cut_down_is_a_part_that_keeps_the_error_and_no_single_unit_can_go(seed: int, error: float) -> None:
    distance = mixed(seed)
    found = cut_down(start_of("everything", 10), distance, error, Effort())
    assert distance(found[None].float()).item() <= error
    fewer = found.float().repeat(int(found.sum()), 1)
    fewer[torch.arange(len(fewer)), found.nonzero()[:, 0]] = 0
    assert (distance(fewer) > error).all()
    again = cut_down(found, distance, min(2 * error, 0.9), Effort())
    assert bool((found | ~again).all())


def test_most_sets_are_the_smallest() -> None:
    sizes = []
    for seed, error in itertools.product(range(8), (0.5, 0.2, 0.05)):
        found = cut_down(start_of("everything", 10), mixed(seed), error, Effort())
        sizes.append((int(found.sum()), smallest(mixed(seed), 10, error)))
    # No search over single units finds all of them.
    assert all(best <= size <= best + 3 for size, best in sizes)
    assert sum(size == best for size, best in sizes) >= 18


def test_a_core_stays() -> None:
    distance = apart([1.0, 2.0, 3.0, 5.0, 19.0])
    core = torch.tensor([True, False, True, False, False])
    found = cut_down(start_of("everything", 5), distance, 0.32, Effort(), core=core)
    assert found.tolist() == [True, False, True, False, True]
    assert torch.equal(cut_down(core, distance, 1.0, Effort(), core=core), core)


def test_a_set_that_is_faithful_enough_stays_as_it_is() -> None:
    distance = apart([1.0, 2.0, 3.0, 5.0, 19.0])
    kept = torch.tensor([False, False, False, True, True])
    assert torch.equal(build_up(kept, distance, 0.19, Effort()), kept)
    assert torch.equal(cut_down(kept, distance, 0.19, Effort()), kept)


def test_nothing_is_needed_where_nothing_is_lost() -> None:
    assert not cut_down(start_of("everything", 5), apart([1.0] * 5), 1.0, Effort()).any()


def test_where_no_unit_helps_there_is_no_set() -> None:
    def constant(masks: Tensor) -> Tensor:
        return 0.5 + 0 * masks.sum(dim=1)

    for start in STARTS:
        assert build_up(start_of(start, 5), constant, 0.1, Effort()) is None
    assert build_up(start_of("nothing", 5), apart([1.0] * 5), 0.1, Effort(rounds=0)) is None


def test_without_units_there_is_nothing_to_do() -> None:
    none = torch.zeros(0, dtype=torch.bool)
    for distance in (0.0, 0.5):
        found = build_up(none, lambda masks, d=distance: d + masks.sum(dim=1), 0.1, Effort())
        assert (found is None) == (distance > 0.1)
    assert torch.equal(cut_down(none, lambda masks: masks.sum(dim=1), 0.1, Effort()), none)


def test_units_that_only_help_together_are_found() -> None:
    # Either of the first two alone makes the image worse; the third does little.
    weights = torch.tensor([[1.0, 1.0, 0.0], [5.0, -5.0, 0.0], [0.0, 0.0, 0.1]])
    x = weights @ torch.ones(3)

    def distance(masks: Tensor) -> Tensor:
        return ((masks - 1) @ weights.T).norm(dim=1) / x.norm()

    assert completed(start_of("nothing", 3), distance, 0.1).tolist() == [True, True, False]


def test_no_more_than_sixteen_masks_at_a_time() -> None:
    seen: list[int] = []

    def distance(masks: Tensor) -> Tensor:
        seen.append(len(masks))
        return apart([1.0 + i for i in range(100)])(masks)

    completed(start_of("nothing", 100), distance, 0.1)
    assert 1 < max(seen) <= 16


def test_single_units_that_help_are_joined_in_few_passes() -> None:
    """Pairs that cancel: any few promising units together do harm, so that single ones have to be tried."""
    units, asked = 60, [0]
    distance = mixed(3, units=units, pixels=40)

    def counted(masks: Tensor) -> Tensor:
        asked[0] += len(masks)
        return distance(masks)

    passes = {}
    for joins in (False, True):
        asked[0] = 0
        found = build_up(start_of("nothing", units), counted, 0.1, Effort(joins=joins))
        assert found is not None
        assert distance(found[None].float()).item() <= 0.1
        passes[joins] = asked[0]
    assert passes[True] <= passes[False]
