# SPDX-License-Identifier: MIT
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from egbas.errors import ConfigError
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.region import SupportingRegion
from egbas.region.constraints import AffineConstraints
from egbas.samplers.mass import (
    Factory,
    LevelRegion,
    Mass,
    MassConfig,
    flight_levels,
    leap_levels,
    mass_of,
    measure_mass,
    prior_draws,
    reflection_levels,
    share_interval,
)
from egbas.samplers.target import Gaussian, UniformBox, UniformSphere
from tests.samplers.curved_forms import Told, cone, constraints


def measured(weight: Tensor, offset: Tensor, seed: int = 0, levels: Callable[..., Factory] = reflection_levels) -> Mass:
    walls = AffineConstraints(weight=weight, offset=offset)
    region, target = LevelRegion(walls, 0.0), Gaussian(weight.shape[1])
    config = MassConfig(chains=32, block=2, most_draws=8, repetitions=3, plain=512, plain_most=512)
    return measure_mass(
        region, walls, target, lambda: levels(region, walls, target), np.random.default_rng(seed), config
    )


def test_a_large_mass_is_counted() -> None:
    mass = measured(torch.eye(3), torch.zeros(3))
    assert mass.low <= -3 * math.log10(2) <= mass.high
    assert mass.evaluations == 512


def never() -> None:
    raise AssertionError("chains climb although counting is enough")


def test_counting_goes_on_where_it_finds_some() -> None:
    # 1 in 128: some 16 of the first 2,048 draws are inside, which is not enough, and some 50 of 6,400.
    walls = AffineConstraints(weight=torch.eye(7), offset=torch.zeros(7))
    mass = measure_mass(LevelRegion(walls, 0.0), walls, Gaussian(7), never, np.random.default_rng(0))
    assert 2048 < mass.evaluations <= 16384
    assert mass.low <= -7 * math.log10(2) <= mass.high
    assert len(mass.latents) >= 50


def test_counting_is_given_up_where_it_finds_few() -> None:
    config = MassConfig(chains=16, effective=16, repetitions=2)
    walls = AffineConstraints(weight=torch.eye(12), offset=torch.zeros(12))
    region, target = LevelRegion(walls, 0.0), Gaussian(12)
    levels = reflection_levels(region, walls, target)
    counted = []

    def factory():
        counted.append(True)
        return levels

    measure_mass(region, walls, target, factory, np.random.default_rng(0), config)
    assert len(counted) == 2


CORRELATED = torch.linalg.cholesky(0.5 * torch.eye(7) + 0.5 * torch.ones(7, 7))
# Walls, and log10 of the mass of what they bound; of an orthant with correlations of a half it is 1 / (d + 1).
FORMS = {
    "orthant": (torch.eye(12), torch.zeros(12), -12 * math.log10(2)),
    "correlated orthant": (torch.block_diag(*[CORRELATED] * 3), torch.zeros(21), -3 * math.log10(8)),
    "slab": (
        torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]),
        torch.tensor([-2.0, 2.01]),
        math.log10(stats.norm.cdf(2.01) - stats.norm.cdf(2)),
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_closed_forms_by_flights(name: str) -> None:
    weight, offset, truth = FORMS[name]
    masses = [measured(weight, offset, seed, flight_levels) for seed in range(5)]
    assert all(mass.is_complete for mass in masses)
    # Of five intervals of 95 %, two miss with a chance of 2 %, three with one of 0.1 %.
    assert sum(mass.low <= truth <= mass.high for mass in masses) >= 3
    assert all(abs(mass.log10 - truth) < 0.5 for mass in masses)
    assert bool((masses[0].latents.double() @ weight.double().T + offset >= -1e-5).all())


@pytest.mark.parametrize("name", ["orthant", "slab"])
def test_closed_forms_by_reflection(name: str) -> None:
    weight, offset, truth = FORMS[name]
    mass = measured(weight, offset)
    assert mass.low <= truth <= mass.high
    assert abs(mass.log10 - truth) < 0.5


def test_closed_forms_by_leaps() -> None:
    corner = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]), torch.tensor([-3.0, -3.0])
    forms = {"slab": FORMS["slab"], "corner": (*corner, 2 * math.log10(stats.norm.sf(3)))}
    for weight, offset, truth in forms.values():
        masses = [measured(weight, offset, seed, leap_levels) for seed in range(5)]
        assert all(mass.is_complete for mass in masses)
        assert sum(mass.low <= truth <= mass.high for mass in masses) >= 3
        assert all(abs(mass.log10 - truth) < 0.5 for mass in masses)
        assert bool((masses[0].latents.double() @ weight.double().T + offset >= -1e-5).all())


def test_a_cone() -> None:
    region, target = Told(cone), Gaussian(3)
    normals = constraints(cone, 1)
    config = MassConfig(plain=64, enough=64, plain_most=64)
    mass = measure_mass(
        region, normals, target, lambda: reflection_levels(region, normals, target), np.random.default_rng(0), config
    )
    assert mass.low <= math.log10(0.25) <= mass.high


def test_a_region_that_is_never_reached() -> None:
    walls = AffineConstraints(weight=torch.zeros(1, 2), offset=-torch.ones(1))
    region, target = LevelRegion(walls, 0.0), Gaussian(2)
    config = MassConfig(chains=8, repetitions=2, first=16, plain=16, enough=1)
    factory = lambda: reflection_levels(region, walls, target)  # noqa: E731
    mass = measure_mass(region, walls, target, factory, np.random.default_rng(0), config)
    assert not mass.is_complete
    assert mass.low == -math.inf
    assert mass.latents.shape == (0, 2)


def test_evaluations_are_bounded() -> None:
    walls = AffineConstraints(weight=torch.eye(30), offset=torch.zeros(30))
    region, target = LevelRegion(walls, 0.0), Gaussian(30)
    config = MassConfig(max_evaluations=6000, plain=1000, chains=8)
    factory = lambda: flight_levels(region, walls, target)  # noqa: E731
    mass = measure_mass(region, walls, target, factory, np.random.default_rng(0), config)
    assert not mass.is_complete
    assert mass.evaluations < 9000
    assert mass.log10 > -30 * math.log10(2)


LATENT = LatentSpace(shape=(2,), prior="normal")


def test_a_region_that_is_only_a_contains() -> None:
    found = mass_of(Told(lambda z: z), torch.ones(2), LATENT, torch.Generator().manual_seed(0))
    assert found.low <= math.log10(0.25) <= found.high
    nothing = mass_of(Told(lambda z: z[:, :1] - 50), torch.ones(2), LATENT, torch.Generator().manual_seed(0))
    assert not nothing.is_complete
    assert nothing.low == -math.inf
    assert -4.5 < nothing.log10 < -3.5


def test_a_region_of_a_first_layer() -> None:
    linear = torch.nn.Linear(12, 12, bias=False).double()
    torch.nn.init.eye_(linear.weight)
    network = Network(torch.nn.Sequential(linear, torch.nn.ReLU(), torch.nn.Linear(12, 2).double()), (12,))
    start, latent = torch.ones(12, dtype=torch.float64), LatentSpace(shape=(12,), prior="normal")
    signs = torch.ones(12, dtype=torch.int8)
    region = SupportingRegion.around(network, network.resolve(1), start, torch.arange(12), signs, reach=3.0)
    said: list[str] = []
    masses = [
        mass_of(
            region, start, latent, torch.Generator().manual_seed(3), progress=lambda _i, _n, text: said.append(text)
        )
        for _ in range(2)
    ]
    assert masses[0].low <= -12 * math.log10(2) <= masses[0].high
    assert masses[0].log10 == masses[1].log10
    assert torch.equal(masses[0].latents, masses[1].latents)
    assert len(said) == 2 * MassConfig().repetitions
    assert bool(region.contains(masses[0].latents).all())


def test_draws_of_the_prior() -> None:
    rng = np.random.default_rng(0)
    box = prior_draws(UniformBox(torch.zeros(2), 3 * torch.ones(2)), 500, rng)
    assert 0 <= float(box.min()) < 0.1
    assert 2.9 < float(box.max()) <= 3
    assert prior_draws(Gaussian(4), 5, rng).shape == (5, 4)
    torch.testing.assert_close(prior_draws(UniformSphere(3, 2.0), 5, rng).norm(dim=1), torch.full((5,), 2.0))


def test_settings_out_of_range() -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        MassConfig(repetitions=1)
    with pytest.raises(ConfigError, match="plain is 0"):
        MassConfig(plain=0)


def test_shares_have_exact_intervals() -> None:
    assert share_interval(0, 1000) == pytest.approx((0, 1 - 0.025**0.001))
    assert share_interval(1000, 1000)[1] == 1
    low, high = share_interval(350, 700)
    assert 0.46 < low < 0.5 < high < 0.54


@pytest.mark.parametrize("target", [Gaussian(5), UniformSphere(5, 2.0), UniformBox(-torch.ones(5), 3 * torch.ones(5))])
def test_draws_of_the_prior_are_the_same_a_few_at_a_time(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prior_draws(target, 50, np.random.default_rng(3))
    monkeypatch.setattr("egbas.samplers.mass._VALUES_AT_ONCE", 35)
    assert torch.equal(prior_draws(target, 50, np.random.default_rng(3)), whole)
    assert whole.dtype == torch.float32 and whole.shape == (50, 5)


_MEASURED = """
import numpy as np, torch
from egbas.samplers import mass
from egbas.samplers.target import Gaussian

class Everywhere:
    def contains(self, z):
        return torch.ones(len(z), dtype=torch.bool)

class First:
    def margins(self, z):
        return z[:, :1] - 2.5

class Noise:
    evaluations = 0
    def draw(self, z, n, rng):
        return z[:, None] + torch.from_numpy(rng.standard_normal((len(z), n, 1))).float()

def memory(key):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(key))

def peak(run):
    before = memory("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")  # the peak begins here
    run()
    return memory("VmHWM") - before

def peaks(d):
    target, rng, walls = Gaussian(d), np.random.default_rng(0), First()
    counted = peak(lambda: mass._plain(Everywhere(), lambda n: mass.prior_draws(target, n, rng), mass.MassConfig()))
    region, levels = mass.LevelRegion(walls, 0.0), lambda: lambda level, z, rng: Noise()
    return counted, peak(lambda: mass.measure_mass(region, walls, target, levels, rng))

peaks(4)  # what the first calls load
print(*peaks({d}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_draws_of_a_measurement_take_33_kilobytes_for_each_coordinate() -> None:
    d = 4096
    command = [sys.executable, "-c", _MEASURED.format(d=d)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    for peak in map(int, done.stdout.split()):
        assert 10_000 * d < peak < 33_000 * d + 2**23  # the numbers of the generator
