# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.beropt import BerOptConfig
from egbas.network import Network
from egbas.reproduce import brute_force
from tests.problems import RedundantUnit


def test_all_subsets_of_a_network_by_hand() -> None:
    tail = Network(RedundantUnit(), (2,)).split(1).at(torch.ones(2))
    sizes, distances = brute_force._all_subsets(tail)
    # At (1, 1) the outputs are (3, 2, 0, 5, 1, 4): five active units, 32 subsets; the image is (24, 12, 28, 0.01).
    assert len(sizes) == 32
    assert sizes.sum() == 5 * 16
    norm = (24**2 + 12**2 + 28**2 + 0.01**2) ** 0.5
    assert distances[sizes == 5].item() == pytest.approx(0, abs=1e-6)
    assert distances[sizes == 0].item() == pytest.approx(1)
    # The best pair leaves out the image's 12, the best single unit the 24 as well.
    assert distances[sizes == 2].min().item() == pytest.approx((12**2 + 0.01**2) ** 0.5 / norm, rel=1e-5)
    assert distances[sizes == 1].min().item() == pytest.approx((12**2 + 24**2 + 0.01**2) ** 0.5 / norm, rel=1e-5)


def test_networks_differ_by_seed_only() -> None:
    first, again, other = (brute_force.random_network(seed)[0].weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_comparison_bounds_beropt_from_below() -> None:
    row = brute_force.compare(0, BerOptConfig(anneal_steps=30, max_steps=30))  # too few steps to be good
    assert row.best_objective <= row.objective + 1e-5
    assert row.smallest_size <= row.size <= row.candidates
