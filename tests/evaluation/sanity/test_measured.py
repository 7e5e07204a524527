# SPDX-License-Identifier: MIT
import json

import pytest
import torch

from egbas.evaluation.sanity.measured import (
    independent,
    random_masks,
    rank_correlation,
    region_of_set,
    set_errors,
)
from tests.problems import HALVES_QUERY, QUERY, QUERY_X, HalvesNet, Plain
from tests.sanities import problem_of, small_sanity


def test_active_units_are_those_that_are_not_zero() -> None:
    _, tail = problem_of(Plain(), QUERY)
    assert tail.is_active.tolist() == [True, False, True]


def test_random_sets_have_their_size_and_active_units_alone() -> None:
    _, tail = problem_of(Plain(), QUERY)
    masks = random_masks(tail, 1, 20, torch.Generator().manual_seed(0))
    assert masks.sum(dim=1).tolist() == [1] * 20
    assert not bool(masks[:, 1].any()) and bool(masks[:, 0].any()) and bool(masks[:, 2].any())


def test_errors_of_sets_by_hand() -> None:
    # Without the third unit, whose output is 2, the image loses 2 * (1, -2).
    _, tail = problem_of(Plain(), QUERY)
    masks = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    lost = float(2 * torch.tensor([1.0, -2.0]).norm() / QUERY_X.norm())
    assert set_errors(tail, masks) == pytest.approx([0.0, lost, 1.0], abs=1e-6)
    # As the network says: four equal parts of the image.
    _, tail = problem_of(HalvesNet(), HALVES_QUERY)
    assert set_errors(tail, torch.tensor([[True, True, True, False]])) == pytest.approx([0.34], abs=0.01)


def test_the_region_of_a_set_is_that_of_its_boundaries() -> None:
    problem, tail = problem_of(Plain(), QUERY)
    assert problem.precisions is not None
    region = region_of_set(problem.precisions, tail, torch.tensor([True, False, True]), problem.latent)
    assert (region.units.tolist(), region.signs.tolist()) == ([0, 2], [1, 1])  # h is (3, -1, 2)
    assert region.contains(torch.tensor([[1.0, 2.0], [-1.0, 0.5], [2.0, 0.0]])).tolist() == [True, False, False]


def test_rank_correlation_is_of_ranks_and_of_what_both_have() -> None:
    a = torch.tensor([1.0, 2.0, 3.0, 4.0, float("nan")])
    assert rank_correlation(a, a.exp()) == pytest.approx(1.0)
    assert rank_correlation(a, -a.exp()) == pytest.approx(-1.0)
    assert rank_correlation(a, torch.ones(5)) is None
    assert rank_correlation(a[:2], a[:2]) is None


def test_independent_draws_are_chains_of_one() -> None:
    chains = independent(torch.zeros(7, 2))
    assert chains.has_converged and chains.chain.tolist() == list(range(7))


def test_a_region_in_numbers() -> None:
    trained = small_sanity().weights.trained
    row = trained.row()
    json.dumps(row, allow_nan=False)
    assert 0 < row["units"] <= row["active"] and row["share"] == row["units"] / row["active"]
    assert row["error"] < row["random_error"]
    assert row["freedom_low"] <= row["freedom"] <= row["freedom_high"]
    assert row["q05"] <= row["q50"] <= row["q95"]
    assert row["log10_mass_low"] <= row["log10_mass"] <= row["log10_mass_high"] <= 0
    assert row["ball_ratio"] == pytest.approx(row["freedom"] / row["ball_freedom"])
    assert 0 <= row["judges"]["dark"] <= 1
    assert trained.deviation.shape == trained.query_image.shape == (1, 4, 4)
    assert trained.images.shape == (8, 1, 4, 4)
