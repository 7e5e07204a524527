# SPDX-License-Identifier: MIT
"""Rankings on networks whose contributions are known by hand, and their sets against one mask at a time."""

import math

import pytest
import torch
from torch import nn

from egbas.errors import ConfigError, NetworkError
from egbas.evaluation import rankings
from egbas.network import Network, Tail
from egbas.reproduce.brute_force import random_network
from tests.problems import RedundantUnit, linear

# RedundantUnit at (1, 1): outputs (3, 2, 0, 5, 1, 4); units 0, 1, 5 and 4 give one pixel each.
PIXELS = {0: 24.0, 1: 12.0, 5: 28.0, 4: 0.01, 3: 0.0}
NORM = math.hypot(*PIXELS.values())


def tail_of(generator: nn.Module, z0: list[float]) -> Tail:
    dtype = next(generator.parameters()).dtype
    return Network(generator.eval(), (len(z0),)).split(1).at(torch.tensor(z0, dtype=dtype))


@pytest.fixture
def redundant() -> Tail:
    return tail_of(RedundantUnit(), [1.0, 1.0])


@pytest.fixture
def drawn() -> Tail:
    return tail_of(random_network(seed=3).double(), [0.5, -1.0, 0.3, 0.8])


def distance_of(tail: Tail, kept: list[int]) -> float:
    a = torch.zeros_like(tail.a)
    a[kept] = tail.a[kept]
    return ((tail(a[None])[0] - tail.x).norm() / tail.x.norm()).item()


def test_the_largest_outputs_come_first(redundant: Tail) -> None:
    assert rankings.ranked(redundant, rankings.LARGEST).tolist() == [3, 5, 0, 1, 4]


@pytest.mark.parametrize("name", [name for name in rankings.RANKINGS if name != rankings.LARGEST])
def test_where_every_unit_has_its_pixel_gradients_rank_by_contribution(redundant: Tail, name: str) -> None:
    assert rankings.ranked(redundant, name).tolist() == [5, 0, 1, 4, 3]


def test_scores_of_a_linear_tail() -> None:
    # Outputs (2, 1, 3); units 0 and 1 work against each other in the second pixel: x0 = (2 + 6, 4 - 5).
    net = nn.Sequential(linear([[2.0], [1.0], [3.0]]), nn.ReLU(), linear([[1.0, 0.0, 2.0], [2.0, -5.0, 0.0]]))
    tail = tail_of(net, [1.0])
    x0 = torch.tensor([8.0, -1.0])
    columns = torch.tensor([[1.0, 2.0], [0.0, -5.0], [2.0, 0.0]]) * torch.tensor([2.0, 1.0, 3.0])[:, None]
    assert tail.x.tolist() == x0.tolist()
    torch.testing.assert_close(rankings.largest_output(tail), torch.tensor([2.0, 1.0, 3.0]))
    torch.testing.assert_close(rankings.image_gradient(tail), (2 * columns @ x0).abs())
    torch.testing.assert_close(rankings.empty_gradient(tail), (2 * columns @ x0).abs())
    torch.testing.assert_close(rankings.path_gradient(tail), (columns @ x0).abs())
    torch.testing.assert_close(rankings.query_gradient(tail), columns.norm(dim=1))


def test_the_path_sees_what_lies_between_nothing_and_the_query() -> None:
    # x = relu(2 m - 1): flat at the empty set, and along the path the squared distance falls from 1 to 0.
    net = nn.Sequential(linear([[2.0]]), nn.ReLU(), linear([[1.0]], [-1.0]), nn.ReLU())
    tail = tail_of(net, [1.0])
    assert rankings.empty_gradient(tail).tolist() == [0.0]
    assert rankings.path_gradient(tail).tolist() == pytest.approx([1.0], abs=1e-5)


def test_the_gradient_at_the_query_is_the_one_sided_derivative(drawn: Tail) -> None:
    step = 1e-7
    a = drawn.a - step * torch.diag(drawn.a)  # one unit a row moved towards zero
    slopes = (drawn(a) - drawn.x).flatten(1).norm(dim=1) / step
    torch.testing.assert_close(rankings.query_gradient(drawn), slopes.detach(), rtol=1e-5, atol=1e-5)


def test_units_that_are_zero_are_in_no_order(drawn: Tail) -> None:
    active = drawn.a.nonzero()[:, 0].tolist()
    assert 0 < len(active) < len(drawn.a)
    for name in rankings.RANKINGS:
        assert sorted(rankings.ranked(drawn, name).tolist()) == active
    assert sorted(rankings.shuffled(drawn, rng=torch.Generator().manual_seed(0)).tolist()) == active


def test_equal_scores_stay_in_the_order_of_the_layer() -> None:
    net = nn.Sequential(linear([[1.0]] * 40), nn.ReLU(), linear([[1.0] * 40]))
    assert rankings.ranked(tail_of(net, [1.0]), rankings.LARGEST).tolist() == list(range(40))


def test_random_orders_follow_the_generator(drawn: Tail) -> None:
    def draw(seed: int) -> list[int]:
        return rankings.shuffled(drawn, rng=torch.Generator().manual_seed(seed)).tolist()

    assert draw(1) == draw(1)
    assert len({tuple(draw(seed)) for seed in range(5)}) == 5


def test_fidelity_of_the_first_units(redundant: Tail) -> None:
    order = rankings.ranked(redundant, rankings.LARGEST)  # pixels 0, 28, 24, 12, 0.01
    left = [(24.0, 12.0, 28.0, 0.01), (24.0, 12.0, 28.0, 0.01), (24.0, 12.0, 0.01), (12.0, 0.01), (0.01,), ()]
    expected = [math.hypot(*values) / NORM for values in left]
    assert rankings.fidelities(redundant, order, torch.arange(6)).tolist() == pytest.approx(expected, abs=1e-6)
    assert rankings.fidelity_of(redundant, order, 2) == pytest.approx(expected[2], abs=1e-6)
    assert len(rankings.fidelities(redundant, order, torch.arange(0))) == 0


def test_size_at_equal_fidelity(redundant: Tail) -> None:
    target = distance_of(redundant, [0, 1, 5])
    assert rankings.smallest_size(redundant, rankings.ranked(redundant, rankings.LARGEST), target) == 4
    assert rankings.smallest_size(redundant, rankings.ranked(redundant, rankings.GRADIENT_QUERY), target) == 3
    assert rankings.smallest_size(redundant, rankings.ranked(redundant, rankings.LARGEST), 1.0) == 0


def test_the_first_size_counts_where_the_distance_rises_again() -> None:
    # Outputs (4, 3, 3), image a0 + a1 - a2 = 4: the first unit is perfect, the first two are not, all three are.
    tail = tail_of(nn.Sequential(linear([[4.0], [3.0], [3.0]]), nn.ReLU(), linear([[1.0, 1.0, -1.0]])), [1.0])
    order = rankings.ranked(tail, rankings.LARGEST)
    assert rankings.fidelities(tail, order, torch.arange(4)).tolist() == [1.0, 0.0, 0.75, 0.0]
    assert rankings.smallest_size(tail, order, 0.0) == 1


@pytest.mark.parametrize("units", [14, 200])
def test_sets_agree_with_one_mask_at_a_time(units: int) -> None:
    tail = tail_of(random_network(seed=1, units=units).double(), [0.5, -1.0, 0.3, 0.8])  # 200: more than one batch
    for order in (rankings.ranked(tail, rankings.LARGEST), rankings.shuffled(tail, rng=torch.Generator())):
        expected = [distance_of(tail, order[:k].tolist()) for k in range(len(order) + 1)]
        found = rankings.fidelities(tail, order, torch.arange(len(order) + 1))
        assert found.tolist() == pytest.approx(expected, abs=1e-9)
        for target in (0.0, 0.1, 0.4, 0.8):
            first = next(k for k, value in enumerate(expected) if value <= target + rankings.ROUNDING)
            assert rankings.smallest_size(tail, order, target) == first


def test_an_unknown_ranking(redundant: Tail) -> None:
    with pytest.raises(ConfigError, match="there are: largest"):
        rankings.ranked(redundant, "smallest")


@pytest.mark.parametrize("size", [-1, 6])
def test_a_size_out_of_range(redundant: Tail, size: int) -> None:
    with pytest.raises(ConfigError, match="an order of 5 units"):
        rankings.fidelity_of(redundant, rankings.ranked(redundant, rankings.LARGEST), size)


def test_a_fidelity_that_no_set_of_the_order_has(redundant: Tail) -> None:
    with pytest.raises(ConfigError, match="all 2 units"):
        rankings.smallest_size(redundant, torch.tensor([0, 1]), 0.1)


def test_a_black_image_has_no_relative_distance() -> None:
    tail = tail_of(nn.Sequential(linear([[1.0]]), nn.ReLU(), linear([[1.0]], [-1.0])), [1.0])
    with pytest.raises(NetworkError, match="zero everywhere"):
        rankings.fidelity_of(tail, torch.tensor([0]), 1)
