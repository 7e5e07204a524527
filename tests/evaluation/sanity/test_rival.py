# SPDX-License-Identifier: MIT
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from egbas.cli.selftest import small_network
from egbas.evaluation.sanity.rival import (
    REFLECTION,
    SLICE,
    OnlyMembership,
    RivalSampler,
    WithConstraints,
    _series,
    compared,
    largest_by_chance,
    rival_sampler,
)
from egbas.samplers.exact import ExactConfig, PriorSampler
from egbas.samplers.rejection import Independent, as_chains
from tests.sanities import QUERY, problem_of, small_sanity


def draws(seed: int, shift: float = 0.0, scale: float = 1.0) -> dict[str, np.ndarray]:
    return {"x": shift + scale * np.random.default_rng(seed).standard_normal((16, 50))}


def test_draws_of_one_distribution_agree() -> None:
    z_scores, (first, second) = compared(draws(0), draws(1))
    assert z_scores.keys() == {"mean of x", "variance of x"}
    assert max(map(abs, z_scores.values())) < 3
    assert first > 400 and second > 400


def test_other_means_and_variances_are_found() -> None:
    assert abs(compared(draws(0), draws(1, shift=0.5))[0]["mean of x"]) > 5
    assert abs(compared(draws(0), draws(1, scale=1.5))[0]["variance of x"]) > 5


def test_few_effective_draws_say_nothing() -> None:
    slow = {"x": np.repeat(np.random.default_rng(0).standard_normal((4, 2)), 10, axis=1)}
    assert compared(draws(0), slow)[0] == {}


def test_what_never_moves_is_passed_over() -> None:
    still = {"x": np.ones((4, 30)), **{"y": draws(0)["x"]}}
    assert compared(still, {"x": np.ones((4, 30)), "y": draws(1)["x"]})[0].keys() == {"mean of y", "variance of y"}


def test_chains_of_unequal_length_are_compared_by_what_all_have() -> None:
    z = torch.arange(20, dtype=torch.float64).reshape(10, 2)
    chains = as_chains(Independent(z, 10, is_enough=True), samples=10, n_chains=3)
    series = _series(chains, torch.zeros(2), z[:, 0])
    first = np.array([[0.0, 2, 4], [8, 10, 12], [14, 16, 18]])
    assert np.array_equal(series["coordinate 0"], first) and np.array_equal(series["image distance"], first)


def test_the_bound_is_that_of_one_in_a_hundred() -> None:
    assert largest_by_chance(1) == pytest.approx(2.576, abs=1e-3)
    assert largest_by_chance(100) > largest_by_chance(10) > 3


def test_a_region_without_its_walls() -> None:
    run = small_sanity().run
    z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    for region in (OnlyMembership(run.region), WithConstraints(run.region, "walls")):
        assert torch.equal(region.contains(z), run.region.contains(z))
        assert not hasattr(region, "linear")
    assert WithConstraints(run.region, "walls").constraints() == "walls"


def test_the_samplers_of_the_small_network_agree() -> None:
    problem, _ = problem_of(small_network(), QUERY)
    found = rival_sampler(problem, small_sanity().run, ExactConfig(samples=100, max_evaluations=200_000))
    json.dumps(found.row(), allow_nan=False)
    assert found.kernel == "HamiltonianKernel" and found.rival == SLICE
    assert found.agrees, found.verdict
    assert "agree" in found.verdict and found.ess is not None and min(found.ess) >= 50


def test_what_cannot_converge_is_skipped_with_a_reason() -> None:
    problem, _ = problem_of(small_network(), QUERY)
    found = rival_sampler(problem, small_sanity().run, ExactConfig(samples=100, max_evaluations=100))
    assert found.agrees is None and f"{SLICE} did not converge" in found.verdict
    run = small_sanity().run
    assert run.exact is not None
    alone = {"prior": replace(run.exact, facts={**run.exact.facts, "kernel": SLICE})}
    oracle = replace(run, samples=alone, region=OnlyMembership(run.region))
    assert "membership alone" in rival_sampler(problem, oracle, ExactConfig()).verdict


def test_reflection_is_the_rival_of_slices_with_leaps() -> None:
    problem, _ = problem_of(small_network(), QUERY)
    run = small_sanity().run
    assert run.exact is not None
    leapt = PriorSampler(config=ExactConfig(samples=100)).sample(
        OnlyMembership(run.region), run.query, run.latent, torch.Generator().manual_seed(0)
    )
    assert leapt.facts["kernel"] == SLICE
    config = ExactConfig(samples=100, max_evaluations=200_000)
    found = rival_sampler(problem, replace(run, samples={"prior": leapt}), config)
    assert found.rival == REFLECTION and found.agrees, found.verdict


def test_samplers_that_disagree_are_told() -> None:
    found = RivalSampler(
        kernel="A", rival="B", skipped="", z_scores={"mean of x": -9.0}, largest_allowed=3.0, ess=(100.0, 100.0)
    )
    assert found.agrees is False and "DISAGREE" in found.verdict and "mean of x" in found.verdict
