# SPDX-License-Identifier: MIT
"""Sets by the second-order model: the smallest one where that is known, and what holds for every set that comes out."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig
from egbas.beropt.objective import Objective
from egbas.beropt.second_order import Sketching, cut, grow
from egbas.network import Network
from egbas.reproduce.brute_force import random_network
from tests.problems import linear

STARTS = ["nothing", "everything", "half"]
EFFORT = Sketching(rows=16)
QUERY = [0.5, -1.0, 0.3, 0.8]


def objective_of(generator: nn.Module, z0: list[float]) -> Objective:
    return Objective(Network(generator.eval(), (len(z0),)).split(1).at(torch.tensor(z0)), BerOptConfig(masks=0))


def apart() -> Objective:
    """Every unit has a pixel of its own: what a set loses is the norm of the values that it leaves out."""
    values = [1.0, 2.0, 3.0, 5.0, 19.0]
    own = [[value if row == column else 0.0 for column in range(5)] for row, value in enumerate(values)]
    return objective_of(nn.Sequential(linear([[1.0]] * 5), nn.ReLU(), linear(own)), [1.0])


def start_of(name: str, units: int) -> Tensor:
    return {"nothing": torch.zeros(units), "everything": torch.ones(units), "half": torch.arange(units) % 2}[name] > 0


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("error", "left_out"),  # of the norm 20 of (1, 2, 3, 5, 19)
    [(0.32, 4), (0.19, 3), (0.115, 2), (0.06, 1), (0.04, 0)],
)
def test_units_apart_are_kept_by_their_size(start: str, error: float, left_out: int) -> None:
    objective = apart()
    found = cut(grow(start_of(start, 5), objective, error, EFFORT), objective, error, EFFORT)
    assert found.tolist() == [False] * left_out + [True] * (5 - left_out)


@pytest.mark.parametrize("seed", range(8))
def test_sets_that_are_cut_down_are_the_smallest_ones(seed: int) -> None:
    objective = objective_of(random_network(seed), QUERY)
    everything = start_of("everything", objective.n_candidates)
    for error in (0.3, 0.1, 0.05):
        found = cut(everything, objective, error, EFFORT)
        assert (objective.fidelity(found) <= error, int(found.sum())) == (True, smallest(objective, error))


@pytest.mark.parametrize("seed", [seed for seed in range(8) if seed != 4])  # there no unit helps alone
def test_sets_that_are_built_up_are_close_to_the_smallest_ones(seed: int) -> None:
    objective = objective_of(random_network(seed), QUERY)
    nothing = start_of("nothing", objective.n_candidates)
    for error in (0.3, 0.1, 0.05):
        found = cut(grow(nothing, objective, error, EFFORT), objective, error, EFFORT)
        assert objective.fidelity(found) <= error
        assert int(found.sum()) <= smallest(objective, error) + 2


def smallest(objective: Objective, error: float) -> int:
    """Size of the smallest of all sets that are faithful enough."""
    sets = torch.tensor(list(itertools.product([0.0, 1.0], repeat=objective.n_candidates)))
    return int(sets[objective.distance(sets) <= error].sum(dim=1).min())


def test_where_no_unit_helps_alone_the_set_stays_what_it_is() -> None:
    objective = objective_of(random_network(4), QUERY)
    nothing = start_of("nothing", objective.n_candidates)
    assert torch.equal(grow(nothing, objective, 0.3, EFFORT), nothing)


@pytest.mark.parametrize("start", STARTS)
def test_a_core_stays(start: str) -> None:
    objective = objective_of(random_network(1), QUERY)
    n = objective.n_candidates
    core = torch.arange(n) % 3 == 0
    grown = grow(start_of(start, n) | core, objective, 0.1, EFFORT, free=~core)
    assert bool(grown[core].all())
    found = cut(grown, objective, 0.1, EFFORT, free=~core)
    assert bool(found[core].all()) and objective.fidelity(found) <= 0.1
    assert bool(grown[found].all())  # nothing comes when units are left out


@pytest.mark.parametrize("start", STARTS)
def test_a_set_grows_within_a_part_of_the_units(start: str) -> None:
    objective = objective_of(random_network(1), QUERY)
    n = objective.n_candidates
    free = torch.arange(n) % 3 != 0
    kept = start_of(start, n) & free
    grown = grow(kept, objective, 0.1, EFFORT, free=free)
    assert not bool(grown[~free].any())
    assert objective.fidelity(grown) <= objective.fidelity(kept)


def test_who_cannot_reach_an_error_gives_the_most_faithful_set_that_was_met() -> None:
    objective = objective_of(random_network(1), QUERY)
    nothing = start_of("nothing", objective.n_candidates)
    found = grow(nothing, objective, 0.0, Sketching(rows=4, rounds=1))
    assert 0 < objective.fidelity(found) < objective.fidelity(nothing)


def test_the_same_set_comes_every_time() -> None:
    objective = objective_of(random_network(3), QUERY)
    nothing = start_of("nothing", objective.n_candidates)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = grow(nothing, objective, 0.05, EFFORT)
        torch.manual_seed(2)
        assert torch.equal(first, grow(nothing, objective, 0.05, EFFORT))


def test_a_sketch_serves_some_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    sketch = Objective.sketch

    def watched(self: Objective, kept: Tensor, n: int, *, rng: torch.Generator) -> tuple[float, Tensor, Tensor]:
        rows.append(n)
        return sketch(self, kept, n, rng=rng)

    monkeypatch.setattr(Objective, "sketch", watched)
    objective = objective_of(random_network(0), QUERY)
    grow(start_of("nothing", objective.n_candidates), objective, 1e-9, Sketching(rows=8, reuse=3))
    assert rows == [8, 0, 0, 8, 0, 0, 8, 0, 0]
