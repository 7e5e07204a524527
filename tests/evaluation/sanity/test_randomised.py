# SPDX-License-Identifier: MIT
import copy

import pytest
import torch
from torch import nn

from egbas.errors import NetworkError
from egbas.evaluation.sanity.randomised import HEAD, KINDS, TAIL, WHOLE, parameters_below, parameters_of, randomised
from egbas.latent import LatentSpace
from egbas.network import Network
from tests.problems import Functional, Nested, Plain, Stateful

PLANE = LatentSpace(shape=(2,))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("network", "head"), [(Plain(), "0"), (Nested(), "body.0.0"), (Functional(), "first")])
def test_the_parameters_below_a_layer_are_found(network: nn.Module, head: str) -> None:
    layer = Network(network, (2,)).resolve(1).path
    below = parameters_below(network, layer, PLANE)
    assert below == {f"{head}.weight", f"{head}.bias"}
    every = {name for name, _ in network.named_parameters()}
    assert parameters_of(HEAD, network, below) == below
    assert parameters_of(TAIL, network, below) == every - below
    assert parameters_of(WHOLE, network, below) == every


def test_magnitudes_stay_and_signs_do_not() -> None:
    network = nn.Sequential(nn.Linear(2, 30), nn.ReLU(), nn.Linear(30, 20)).eval()
    made = randomised(network, {"0.weight", "0.bias"}, PLANE, rng=rng())
    old, new = dict(network.named_parameters()), dict(made.named_parameters())
    for name in ("0.weight", "0.bias"):
        assert not torch.equal(old[name], new[name])
        torch.testing.assert_close(new[name].abs().flatten().sort().values, old[name].abs().flatten().sort().values)
    torch.testing.assert_close(new["0.bias"].sort().values, old["0.bias"].sort().values)  # of one dimension: no signs
    assert not torch.equal(new["0.weight"].flatten().sort().values, old["0.weight"].flatten().sort().values)
    assert all(torch.equal(old[name], new[name]) for name in ("2.weight", "2.bias"))


def test_a_parameter_has_the_same_random_numbers_whichever_others_are_random() -> None:
    network = nn.Sequential(nn.Linear(2, 30), nn.ReLU(), nn.Linear(30, 20)).eval()
    below = {"0.weight", "0.bias"}
    made = {
        kind: dict(randomised(network, parameters_of(kind, network, below), PLANE, rng=rng()).named_parameters())
        for kind in KINDS
    }
    assert all(torch.equal(made[WHOLE][name], made[HEAD if name in below else TAIL][name]) for name in made[WHOLE])


def test_the_generator_is_not_touched() -> None:
    network = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)).eval()
    before = copy.deepcopy(network.state_dict())
    randomised(network, {name for name, _ in network.named_parameters()}, PLANE, rng=rng())
    parameters_below(network, "2", PLANE)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_statistics_of_batch_norms_are_measured_where_weights_are_random() -> None:
    network = nn.Sequential(
        nn.Linear(2, 8), nn.BatchNorm1d(8, affine=True), nn.ReLU(), nn.Linear(8, 4), nn.BatchNorm1d(4)
    ).eval()
    with torch.no_grad():
        network[1].weight.copy_(torch.linspace(0.5, 1.5, 8))
        network[1].running_mean.fill_(100.0)
        network[4].running_mean.fill_(7.0)
    made = randomised(network, {"0.weight", "0.bias", "1.weight", "1.bias"}, PLANE, rng=rng())
    assert float(made[1].running_mean.abs().max()) < 5
    assert made[4].running_mean.tolist() == [7.0] * 4
    assert made[1].momentum == 0.1 and not made[1].training


def test_a_network_that_cannot_be_copied_is_refused() -> None:
    with pytest.raises(NetworkError, match="cannot be copied"):
        randomised(Stateful(lock=True), {"0.weight"}, PLANE, rng=rng())
