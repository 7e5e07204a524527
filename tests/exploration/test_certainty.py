# SPDX-License-Identifier: MIT
import dataclasses
import math

import pytest
import torch
from torch import Tensor

from egbas.beropt import BerOptConfig, BerOptResult, BerOptStatus
from egbas.exploration.certainty import Certainty, Repeat, certainty_of
from egbas.exploration.facts import facts_of
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.region import SupportingRegion
from egbas.samplers.chains import Chains
from egbas.samplers.diagnostics import Diagnostics
from tests.problems import HALVES_QUERY, HalvesNet

SPACE = LatentSpace(shape=(2,))
NETWORK = Network(HalvesNet(), (2,))
ONE_SIDE = 0.8413  # of the normal distribution lies above -1
WITHIN = 0.6827  # and between -1 and 1
Z1, Z2 = [0, 1], [2, 3]  # the units that bound each coordinate


def chains(latents: Tensor, n_chains: int = 8) -> Chains:
    return Chains(
        latents=latents,
        chain=torch.arange(n_chains).repeat_interleave(len(latents) // n_chains),
        status="CONVERGED",
        evaluations=0,
        diagnostics=Diagnostics(r_hat=1.0, ess=1.0, worst="", n_chains=n_chains, n_draws=1),
    )


def repeat(units: list[int], seed: int, *, samples: bool = True) -> Repeat:
    """What BerOpt could have found, with independent draws of the region."""
    theta = torch.zeros(4).index_fill(0, torch.tensor(units), 1)
    beropt = BerOptResult(
        theta=theta,
        units=torch.tensor(units),
        signs=torch.ones(len(units), dtype=torch.int8),
        fidelity=0.1 * len(units),
        sampled_fidelity=0.1,
        polarisation=1.0,
        losses=torch.zeros(1),
        sizes=torch.zeros(1),
        status=BerOptStatus.CONVERGED,
        config=BerOptConfig(),
    )
    region = SupportingRegion.around(NETWORK, NETWORK.resolve(1), HALVES_QUERY, beropt.units, beropt.signs, reach=5.0)
    z = torch.randn(40_000, 2, generator=torch.Generator().manual_seed(seed)).double()
    exact = chains(z[region.contains(z.float())][:4000]) if samples else None
    rng = torch.Generator().manual_seed(seed)
    facts = None if exact is None else facts_of(NETWORK, SPACE, HALVES_QUERY, exact, rng=rng)
    return Repeat(seed=seed, beropt=beropt, region=region, exact=exact, facts=facts, log10_mass=None)


def certainty(*repeats: Repeat) -> Certainty:
    return certainty_of(repeats, 4, NETWORK, SPACE, HALVES_QUERY, rng=torch.Generator().manual_seed(0))


def test_one_set_again_is_the_same_answer() -> None:
    found = certainty(repeat(Z1, 1), repeat(Z1, 2))
    assert (found.jaccard, found.core.tolist(), found.frequency.tolist()) == (1.0, Z1, [1, 1, 0, 0])
    one = found.agreement
    assert (one.shared, one.inside) == (1.0, 1.0)
    assert one.map_correlation > 0.99 and one.map_ceiling > 0.99
    assert one.high - one.low < 0.2  # of two values, by Student's t


def test_sets_without_a_common_unit_hold_other_pixels() -> None:
    found = certainty(repeat(Z1, 1), repeat(Z2, 2))
    assert (found.jaccard, found.core.tolist(), found.frequency.tolist()) == (0.0, [], [0.5] * 4)
    assert found.jaccard_chance == pytest.approx(1 / 3)  # one of two units in common, of three in either
    one = found.agreement
    assert one.shared == pytest.approx(ONE_SIDE, abs=0.01)
    assert one.shared_prior == pytest.approx(ONE_SIDE, abs=0.02)
    assert one.inside == pytest.approx(WITHIN, abs=0.02)
    assert one.map_correlation < -0.99 and one.map_ceiling > 0.99
    assert one.least <= one.mean <= one.most
    # Each map holds one half of the image and leaves the other as free as the prior does: the mean lies between.
    held = math.sqrt(0.2912)  # deviation of a normal number between -1 and 1, before the units' kinks
    assert one.freedom[0, 0].tolist() == pytest.approx([(1 + held / 0.83) / 2] * 4, rel=0.1)


def test_freedom_has_an_interval_over_the_sets() -> None:
    found = certainty(repeat(Z1, 1), repeat([0, 1, 2, 3], 2), repeat(Z2, 3)).agreement
    values = torch.tensor(
        [row["freedom"] for row in certainty(repeat(Z1, 1), repeat([0, 1, 2, 3], 2), repeat(Z2, 3)).rows]
    )
    width = 4.3027 * float(values.std()) / math.sqrt(3)  # Student's t of two degrees of freedom
    assert found.mean == pytest.approx(float(values.mean()))
    assert (found.low, found.high) == pytest.approx((max(0.0, found.mean - width), found.mean + width), rel=1e-4)
    assert (found.least, found.most) == pytest.approx((float(values.min()), float(values.max())))


def test_without_samples_the_sets_alone_are_compared() -> None:
    found = certainty(repeat(Z1, 1, samples=False), repeat([1, 2], 2, samples=False))
    assert found.agreement is None
    assert found.jaccard == pytest.approx(1 / 3)
    assert found.record()["agreement"] is None
    assert [row["units"] for row in found.rows] == [2, 2]
    assert found.sentence == ("2 seeds of BerOpt: two sets share 33% of their units (chance: 33%); all of them keep 1.")


def test_few_samples_foretell_no_ceiling() -> None:
    few = repeat(Z1, 1)
    short = Repeat(**{**vars(few), "exact": chains(few.exact.latents[:1], 1)})
    one = certainty(short, repeat(Z1, 2)).agreement
    assert one.map_ceiling is None
    assert "two runs of one set" not in certainty(short, repeat(Z1, 2)).sentence


def test_halves_are_of_chains_and_not_of_times() -> None:
    """Chains that never move agree with themselves in time; two runs would not."""
    stuck = repeat(Z1, 1)
    places = stuck.exact.latents[:8].repeat_interleave(50, dim=0)
    frozen = Repeat(**{**vars(stuck), "exact": chains(places)})
    one = certainty(frozen, repeat(Z1, 2)).agreement
    assert one.map_ceiling is None or one.map_ceiling < 0.99


def test_chains_that_did_not_converge_are_told() -> None:
    one = repeat(Z1, 1)
    doubtful = Repeat(**{**vars(one), "exact": dataclasses.replace(one.exact, status="NOT_CONVERGED")})
    assert "The chains of 1 of 2 seeds did not converge" in certainty(doubtful, repeat(Z1, 2)).sentence
    assert "did not converge" not in certainty(one, repeat(Z1, 2)).sentence


def test_nearly_all_boundaries_are_not_all() -> None:
    found = certainty(repeat([0, 1], 0), repeat([0, 1], 1))
    assert found.agreement is not None
    told = dataclasses.replace(found, agreement=dataclasses.replace(found.agreement, shared=0.9987)).sentence
    assert "keep 99.9% of the boundaries" in told
