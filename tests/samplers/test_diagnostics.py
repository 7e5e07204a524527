# SPDX-License-Identifier: MIT
import math

import numpy as np
import torch

from egbas.samplers.diagnostics import diagnose, r_hat_between

RNG = np.random.default_rng(0)
DRAWS = torch.from_numpy(RNG.standard_normal((8, 100, 3)))
QUERY = torch.zeros(3)


def autoregressive(correlation: float) -> torch.Tensor:
    """Chains of one coordinate, each draw correlated with the one before."""
    noise = RNG.standard_normal((8, 500, 1))
    for i in range(1, 500):
        noise[:, i] = correlation * noise[:, i - 1] + math.sqrt(1 - correlation**2) * noise[:, i]
    return torch.from_numpy(noise)


def test_independent_draws() -> None:
    found = diagnose(DRAWS, QUERY)
    assert 0.99 < found.r_hat < 1.02 and 500 < found.ess < 1100
    assert (found.n_chains, found.n_draws) == (8, 100)
    assert found.text == f"R-hat {found.r_hat:.2f}, {found.ess:.0f} effective draws"


def test_correlated_draws_count_less() -> None:
    # An autoregression of correlation c is worth (1 - c) / (1 + c) of its draws: a ninth here.
    found = diagnose(autoregressive(0.8), torch.full((1,), 50.0))
    assert 250 < found.ess < 700


def test_chains_that_disagree_are_found_with_the_coordinate() -> None:
    draws = DRAWS.clone()
    draws[:4, :, 1] += 2
    found = diagnose(draws, QUERY)
    assert found.r_hat > 1.3 and found.worst == "coordinate 1" and found.ess < 50


def test_the_distance_to_the_query_is_looked_at() -> None:
    # Every coordinate is symmetric around 0, but half of the chains are farther away.
    draws = DRAWS.clone()
    draws[:4] *= 3
    assert diagnose(draws, QUERY).worst == "|z - z0|"


def test_further_series() -> None:
    apart = torch.arange(8.0)[:, None].expand(8, 100) + DRAWS[..., 0]
    assert diagnose(DRAWS, QUERY, {"image distance": apart}).worst == "image distance"
    constant = torch.ones(8, 100)
    assert diagnose(DRAWS, QUERY, {"image distance": constant}) == diagnose(DRAWS, QUERY)


def test_what_cannot_be_told_counts_as_the_worst() -> None:
    stuck, broken = DRAWS.clone(), DRAWS.clone()
    stuck[..., 2] = 1.0
    broken[0, 0, 0] = math.nan
    for draws in (stuck, broken, DRAWS[:, :3]):
        found = diagnose(draws, QUERY)
        assert found.r_hat == math.inf and found.ess == 0
    assert diagnose(stuck, QUERY).worst == "coordinate 2"
    assert diagnose(broken, QUERY, {"image distance": broken[..., 0]}).worst == "coordinate 0"


def test_chains_that_stand_still_in_different_places() -> None:
    apart = DRAWS.clone()
    apart[..., 0] = torch.arange(8.0)[:, None]
    found = diagnose(apart, QUERY)
    assert found.r_hat > 1e6 and found.ess < 10 and found.text.startswith("R-hat above 100, ")


def test_short_chains_that_disagree_are_worth_little() -> None:
    # Eight draws of 64 chains that hardly move: worth as many draws as there are chains, or twice that.
    draws = torch.from_numpy(RNG.standard_normal((64, 1, 2)) + 0.05 * RNG.standard_normal((64, 8, 2)))
    assert 60 < diagnose(draws, torch.zeros(2)).ess < 140


def test_groups_of_chains() -> None:
    groups = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert r_hat_between(DRAWS, groups) < 1.02
    apart = DRAWS.clone()
    apart[4:] += 3
    assert r_hat_between(apart, groups) > 1.3
    assert r_hat_between(apart, groups % 1 + np.tile([0, 1], 4)) < 1.02
    assert r_hat_between(apart, np.array([0, 0, 0, 0, 0, 1, 1, 1])) > 1.2  # as many of each are compared
    assert math.isnan(r_hat_between(DRAWS, np.zeros(8, np.int64)))
