# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import nn

import egbas
from egbas.beropt import BerOptConfig
from egbas.errors import ConfigError, LayerNotFoundError, ShapeError
from egbas.exploration.estimate import Estimate, estimate
from egbas.samplers.gbrrt import GbRrtConfig
from tests.problems import BoxNet


def of_model(iterations: int = 200, steps: int = 1500) -> Estimate:
    model = egbas.load_model("dcgan-mnist")
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(0))[0]
    beropt = BerOptConfig(anneal_steps=min(steps, 400), max_steps=steps)
    return estimate(model.generator, z0, 4, beropt=beropt, gbrrt=GbRrtConfig(iterations=iterations))


def test_the_stages_are_those_of_a_run() -> None:
    found = of_model()
    assert [stage.name for stage in found.stages] == ["cut", "beropt", "gbrrt", "prior", "certificate", "images"]
    assert all(0 < stage.low <= stage.high for stage in found.stages)
    assert found.low == pytest.approx(sum(stage.low for stage in found.stages))
    assert found.high == pytest.approx(sum(stage.high for stage in found.stages))
    assert 50e6 < found.peak_bytes < 50e9


def test_more_iterations_and_more_steps_take_longer() -> None:
    few, many = of_model(iterations=200, steps=100), of_model(iterations=200_000, steps=100_000)
    pairs = zip(few.stages[1:], many.stages[1:], strict=True)
    for one, other in (pair for pair in pairs if pair[0].name != "prior"):  # exact samples have neither
        assert other.high > 5 * one.high  # a thousand times: whatever else the machine does


def test_no_exact_samples_take_no_time() -> None:
    model = egbas.load_model("dcgan-mnist-2d")
    stages = estimate(model.generator, torch.ones(2), 1, samples=0).stages
    assert [stage.name for stage in stages] == ["cut", "beropt", "gbrrt", "certificate", "images"]


def test_bad_input_is_refused_as_by_explore() -> None:
    model = egbas.load_model("dcgan-mnist-2d")
    with pytest.raises(LayerNotFoundError):
        estimate(model.generator, torch.zeros(2), 99)
    with pytest.raises(ShapeError):
        estimate(model.generator, torch.zeros(3), 1)


def test_the_generator_is_left_as_it_was() -> None:
    net = BoxNet().eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():  # as a caller may have it
        estimate(net, torch.tensor([0.3, 0.2]), 1)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_draws_of_chains_count_as_memory_and_have_a_budget() -> None:
    model = egbas.load_model("dcgan-mnist-2d")
    with pytest.raises(ConfigError, match="fewer samples"):
        estimate(nn.Linear(64, 1), torch.zeros(64), 1, samples=10**6)
    few, many = (estimate(model.generator, torch.ones(2), 1, samples=n).peak_bytes for n in (100, 600_000))
    assert many - few > 3 * 8 * 2 * 8 * 600_000 * 0.9 - 2**20  # eight times as many draws, thrice, of two coordinates
