# SPDX-License-Identifier: MIT
"""BerOpt on networks whose best set is known by hand, against brute force, and its settings and statuses."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig, BerOptResult, BerOptStatus, optimize
from egbas.errors import NetworkError
from egbas.network import Network, Tail
from egbas.reproduce.brute_force import compare, random_network
from tests.problems import RedundantUnit, linear

QUICK = BerOptConfig(sparsity=0.5)


def tail_of(generator: nn.Module, z0: list[float], layer: int = 1) -> Tail:
    return Network(generator.eval(), (len(z0),)).split(layer).at(torch.tensor(z0))


def run(tail: Tail, config: BerOptConfig = QUICK, seed: int = 0) -> BerOptResult:
    return optimize(tail, config, rng=torch.Generator().manual_seed(seed))


def test_the_three_units_that_matter_are_kept() -> None:
    found = run(tail_of(RedundantUnit(), [1.0, 1.0]))
    assert found.units.tolist() == [0, 1, 5]
    assert found.signs.tolist() == [1, 1, 1]
    assert found.status is BerOptStatus.CONVERGED
    assert found.fidelity < 0.001  # unit 4's weight of 0.01 is what is lost
    assert found.theta[[2, 3, 4]].max() < 0.05
    assert found.theta[[0, 1, 5]].min() > 0.95


def test_the_result_describes_itself() -> None:
    tail = tail_of(random_network(seed=3), [0.5, -1.0, 0.3, 0.8])
    found = run(tail)
    assert found.theta.shape == tail.a.shape
    assert ((found.theta >= 0) & (found.theta <= 1)).all()
    assert torch.equal(found.units, (found.theta > 0.5).nonzero()[:, 0])
    assert torch.equal(found.signs, tail.h[found.units].sign().to(torch.int8))
    kept = torch.where(found.theta > 0.5, tail.a, torch.zeros_like(tail.a))
    expected = (tail(kept[None])[0] - tail.x).norm() / tail.x.norm()
    assert found.fidelity == pytest.approx(expected.item(), abs=1e-6)
    assert found.steps == len(found.losses) == len(found.sizes)
    assert (tail.a[found.units] > 0).all()  # a ReLU unit that is off cannot matter


def test_signs_are_negative_where_a_leaky_unit_is() -> None:
    net = nn.Sequential(linear([[1.0, 0.0], [0.0, -1.0]]), nn.LeakyReLU(0.5), linear([[1.0, 0.0], [0.0, 1.0]]))
    found = run(tail_of(net, [1.0, 1.0]), BerOptConfig(sparsity=0.1))
    assert found.units.tolist() == [0, 1]
    assert found.signs.tolist() == [1, -1]


def test_the_same_generator_gives_the_same_theta() -> None:
    tail = tail_of(random_network(seed=1), [0.5, -1.0, 0.3, 0.8])
    assert torch.equal(run(tail, seed=4).theta, run(tail, seed=4).theta)
    assert not torch.equal(run(tail, seed=4).theta, run(tail, seed=5).theta)


def test_more_sparsity_keeps_fewer_units() -> None:
    sizes = []
    for sparsity in (0.2, 1.0, 5.0):
        runs = [
            run(tail_of(random_network(seed), [0.5, -1.0, 0.3, 0.8]), BerOptConfig(sparsity=sparsity))
            for seed in range(4)
        ]
        sizes.append(sum(len(r.units) for r in runs) / len(runs))
    assert sizes[0] > sizes[1] > sizes[2]


def test_close_to_brute_force() -> None:
    rows = [compare(seed, BerOptConfig(sparsity=0.5)) for seed in range(8)]
    # Measured over 50 seeds (docs/beropt.md): the smallest size at its fidelity in nearly every case.
    assert sum(row.size == row.smallest_size for row in rows) >= 7
    assert all(row.size <= row.smallest_size + 1 for row in rows)
    assert sum(row.objective - row.best_objective for row in rows) / len(rows) < 0.05
    assert all(row.objective >= row.best_objective - 1e-5 for row in rows)  # brute force is a lower bound


def test_an_empty_set_is_a_status() -> None:
    found = run(tail_of(RedundantUnit(), [1.0, 1.0]), BerOptConfig(sparsity=1000.0))
    assert found.status is BerOptStatus.EMPTY
    assert len(found.units) == 0
    assert found.fidelity == pytest.approx(1.0)


def test_no_unit_that_can_matter_is_an_empty_set() -> None:
    net = nn.Sequential(linear([[-1.0, 0.0]]), nn.ReLU(), linear([[1.0], [1.0]], [1.0, 1.0]))
    found = run(tail_of(net, [1.0, 0.0]))
    assert found.status is BerOptStatus.EMPTY
    assert found.steps == 0


def test_running_out_of_steps_is_a_status() -> None:
    config = BerOptConfig(anneal_steps=5, max_steps=5)
    found = run(tail_of(random_network(seed=0), [0.5, -1.0, 0.3, 0.8]), config)
    assert found.status is BerOptStatus.MAX_STEPS
    assert found.steps == 5


def test_a_search_after_few_steps_takes_no_longer_than_they_did() -> None:
    tail = tail_of(random_network(seed=0), [0.5, -1.0, 0.3, 0.8])
    seen: list[int] = []

    def counted(a: Tensor) -> Tensor:
        seen.append(len(a))
        return tail.run(a)

    config = BerOptConfig(anneal_steps=2, max_steps=2, initial_theta=0.5, masks=1)
    run(dataclasses.replace(tail, run=counted), config)
    assert sum(seen) < 2 * (160 + 50)  # one round for each start, and the checks around it


def test_a_black_image_has_no_relative_distance() -> None:
    net = nn.Sequential(linear([[1.0, 0.0]]), nn.ReLU(), linear([[1.0]], [-1.0]))
    with pytest.raises(NetworkError, match="zero everywhere"):
        run(tail_of(net, [1.0, 0.0]))


def test_the_network_gets_no_gradients() -> None:
    net = random_network(seed=0)
    run(tail_of(net, [0.5, -1.0, 0.3, 0.8]), dataclasses.replace(QUICK, anneal_steps=10, max_steps=10))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())


def test_progress_is_told() -> None:
    calls: list[tuple[int, int, str]] = []

    def note(done: int, total: int, text: str) -> None:
        calls.append((done, total, text))

    tail: Tail = tail_of(RedundantUnit(), [1.0, 1.0])
    optimize(tail, QUICK, rng=torch.Generator().manual_seed(0), progress=note)
    assert calls[0][0] == 0
    assert all(total == QUICK.max_steps for _, total, _ in calls)
    assert "units" in calls[-1][2]


def test_float64_works(dtype: torch.dtype = torch.float64) -> None:
    tail = Network(RedundantUnit().double(), (2,)).split(1).at(torch.ones(2, dtype=dtype))
    found = run(tail)
    assert found.units.tolist() == [0, 1, 5]
    assert isinstance(found.theta, Tensor)
    assert found.theta.dtype == dtype


class Wide(nn.Module):
    """A small layer below an image of a given number of values."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.values = values
        self.weights = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, z: Tensor) -> Tensor:
        return (torch.relu(z) @ self.weights)[:, None].expand(-1, self.values).reshape(len(z), 1, 1, -1)


@pytest.mark.parametrize(("values", "masks"), [(100_000, 4), (100_001, 1)])
def test_large_images_get_one_mask_a_step(values: int, masks: int) -> None:
    found = run(tail_of(Wide(values), [1.0, 1.0]), BerOptConfig(anneal_steps=30, max_steps=30))
    assert found.config.masks == masks
    assert found.evaluations == 30 * masks
    assert found.units.tolist() == [0]


def test_masks_that_are_asked_for_are_taken_for_large_images_too() -> None:
    found = run(tail_of(Wide(100_001), [1.0, 1.0]), BerOptConfig(anneal_steps=3, max_steps=3, masks=3))
    assert found.config.masks == 3


def test_large_images_go_through_the_tail_one_by_one() -> None:
    tail = tail_of(Wide(150_000), [1.0, 1.0])
    seen: list[int] = []

    def counted(a: Tensor) -> Tensor:
        seen.append(len(a))
        return tail.run(a)

    run(dataclasses.replace(tail, run=counted), BerOptConfig(anneal_steps=3, max_steps=3, masks=4))
    assert set(seen) == {1}
