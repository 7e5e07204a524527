# SPDX-License-Identifier: MIT
"""Heads taken apart at their last linear map: which can be, and that the three of them compute the layer."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egbas.network import Network
from egbas.network.graph.last_linear import LastLinear
from egbas.zoo.models import load_model


def taken_apart(module: nn.Module, layer: int | str, d: int = 4) -> tuple[LastLinear | None, Network]:
    network = Network(module.eval(), (d,))
    return network.split(layer).last_linear(), network


@pytest.mark.parametrize(("model", "layers"), [("dcgan-mnist", 4), ("dcgan-mnist-2d", 4), ("pggan-mnist", 8)])
def test_taken_apart_heads_of_embedded_models_compute_the_layer(model: str, layers: int) -> None:
    loaded = load_model(model)
    network = Network(loaded.generator, loaded.latent.shape)
    z = loaded.latent.sample(5, rng=torch.Generator().manual_seed(0))
    for layer in range(1, layers + 1):
        split = network.split(layer)
        head = split.last_linear()
        assert head is not None
        with torch.no_grad():
            h = head.post(head.linear(head.stem(split.prepare(z)))).flatten(1)
        torch.testing.assert_close(h, split.head(z), rtol=0, atol=1e-5 * float(h.abs().max()))


def test_a_module_that_is_the_layer_has_nothing_above_it() -> None:
    head, network = taken_apart(nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)), "2")
    assert head is not None
    z = torch.randn(5, 4)
    x = head.stem(z)
    assert (x >= 0).all()
    torch.testing.assert_close(head.post(head.linear(x)), network.split("2").head(z))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, z: Tensor) -> Tensor:
        return torch.relu(self.second(torch.relu(self.first(z))) + z)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 4))

    def forward(self, z: Tensor) -> Tensor:
        return torch.relu(F.linear(z, self.weight * 0.5))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 8)

    def forward(self, z: Tensor) -> Tensor:
        return torch.relu(self.linear(z)) if z.sum() > -1e9 else z


@pytest.mark.parametrize(
    "module",
    [
        Residual(),  # two ways lead to the layer
        Scaled(),  # no module of torch's
        Branching(),  # nothing that fx can follow
        nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.ConvTranspose2d(4, 4, 3, groups=2), nn.ReLU()),
        nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 3, padding=2, dilation=2), nn.ReLU()),
        nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 3, padding="same"), nn.ReLU()),
        nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 3, padding=1, padding_mode="circular"), nn.ReLU()),
    ],
    ids=["residual", "scaled", "branching", "groups", "dilation", "same", "circular"],
)
def test_other_heads_have_no_such_stages(module: nn.Module) -> None:
    layer = 2 if isinstance(module, Residual) else 1
    assert taken_apart(module, layer)[0] is None


class Volume(nn.Sequential):
    """Weights of five dimensions, which have no channels-last order, in the middle."""

    def __init__(self) -> None:
        super().__init__(
            nn.Unflatten(1, (4, 1, 1, 1)),
            nn.ConvTranspose3d(4, 6, 2),
            nn.ReLU(),
            nn.Flatten(1, 2),
            nn.Conv2d(12, 5, 1),
            nn.ReLU(),
            nn.Conv2d(5, 1, 1),
        )


def test_convolutions_of_volumes() -> None:
    torch.manual_seed(0)
    head, network = taken_apart(Volume(), 2)
    assert head is not None
    z = torch.randn(5, 4)
    h = head.post(head.linear(head.stem(z))).flatten(1)
    torch.testing.assert_close(h, network.split(2).head(z))
    assert network.split(1).at(z[0]).route == "graph"


def test_the_network_s_own_weights_stay_where_they_are() -> None:
    module = nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.ConvTranspose2d(4, 4, 3), nn.ReLU())
    before = module[1].weight.stride(), module[1].weight.data_ptr()
    assert taken_apart(module, 1)[0] is not None
    assert (module[1].weight.stride(), module[1].weight.data_ptr()) == before
