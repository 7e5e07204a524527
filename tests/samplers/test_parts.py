# SPDX-License-Identifier: MIT
"""The share of the query's part, where it is known in closed form."""

import math

import pytest
import torch
from torch import Tensor

from egbas.exploration.answers import _with_share
from egbas.latent import LatentSpace
from egbas.samplers.chains import NOT_CONVERGED, Chains
from egbas.samplers.diagnostics import Diagnostics
from egbas.samplers.mass import Mass, MassConfig, mass_of
from egbas.samplers.parts import joined, share_of_query

SPACE = LatentSpace(shape=(2,))


class Sides:
    """z_0 >= 1 or z_0 <= -low: two parts."""

    def __init__(self, low: float) -> None:
        self.low = low

    def contains(self, z: Tensor) -> Tensor:
        return (z[:, 0] >= 1) | (z[:, 0] <= -self.low)


class Ring:
    """1 <= |z| <= 2: one part, round which no straight line leads."""

    def contains(self, z: Tensor) -> Tensor:
        norm = z.norm(dim=1)
        return (norm >= 1) & (norm <= 2)


def measured(region: object) -> Mass:
    config = MassConfig(plain=4096, enough=400, plain_alone=65_536)
    return mass_of(region, torch.tensor([1.5, 0.0]), SPACE, torch.Generator().manual_seed(0), config=config)  # type: ignore[arg-type]


def right(n: int = 200) -> Tensor:
    """Draws with z_0 >= 1."""
    z = torch.randn(40 * n, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return z[z[:, 0] >= 1][:n]


def tail(x: float) -> float:
    return math.erfc(x / math.sqrt(2)) / 2


@pytest.mark.parametrize("low", [1.0, 1.5, 2.0])
def test_the_share_of_one_of_two_sides(low: float) -> None:
    share = share_of_query(Sides(low), right(), measured(Sides(low)))
    assert share is not None
    truth = tail(1.0) / (tail(1.0) + tail(low))
    assert share.low - 0.02 <= truth <= share.high + 0.02
    assert share.value == pytest.approx(truth, abs=0.1)
    assert share.high - share.low < 0.2


def test_a_region_of_one_part_is_the_querys_even_round_a_corner() -> None:
    near = torch.tensor([[1.5, 0.0], [1.6, 0.1], [1.4, -0.1]], dtype=torch.float64)  # of a ring, the right end alone
    share = share_of_query(Ring(), near, measured(Ring()))
    assert share is not None and share.value == 1.0 and share.low > 0.95


def test_lines_that_leave_the_region_join_nothing() -> None:
    stations = torch.tensor([[1.5, 0.0]])
    z = torch.tensor([[2.0, 1.0], [-1.5, 0.0], [-2.0, 0.3]])
    assert joined(Sides(1.0), stations, z).tolist() == [True, False, False]


def test_without_draws_nothing_is_said() -> None:
    class Nowhere:
        def contains(self, z: Tensor) -> Tensor:
            return torch.zeros(len(z), dtype=torch.bool)

    assert share_of_query(Nowhere(), right(), measured(Nowhere())) is None


def apart(status: str = NOT_CONVERGED, within: float = 1.01) -> Chains:
    """Four chains from the prior on the left, four from the query on the right."""
    z = right(80)
    z[:40, 0] = -z[:40, 0]
    facts = {"r_hat_between_starts": 2.0, "r_hat_of_query_chains": within, "chains_from_prior": 4}
    return Chains(
        latents=z,
        chain=torch.arange(8).repeat_interleave(10),
        status=status,
        sentence="Apart.",
        evaluations=1,
        facts=facts,
        diagnostics=Diagnostics(r_hat=2.0, ess=1.0, worst="", n_chains=8, n_draws=10),
    )


def test_chains_that_stay_apart_say_the_share() -> None:
    told = _with_share(apart(), Sides(1.0), measured(Sides(1.0)))
    assert told.sentence.startswith("Apart. Of the region's mass ") and told.sentence.endswith(
        "lie in the query's part."
    )
    assert told.facts["share_of_query"] == pytest.approx(0.5, abs=0.12)  # type: ignore[call-overload]
    assert told.facts["share_low"] < 0.5 < told.facts["share_high"]  # type: ignore[operator]


def test_without_the_mass_they_say_how_to_know_it() -> None:
    assert "--mass (mass=True) tells which share" in _with_share(apart(), Sides(1.0), None).sentence


@pytest.mark.parametrize("chains", [apart("CONVERGED"), apart(within=1.6)])
def test_chains_that_agree_or_have_settled_nowhere_say_nothing(chains: Chains) -> None:
    assert _with_share(chains, Sides(1.0), measured(Sides(1.0))) is chains
