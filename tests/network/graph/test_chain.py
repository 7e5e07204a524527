# SPDX-License-Identifier: MIT
"""Which layers every way from the latent to the image leads through."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from egbas.network import Network
from egbas.network.graph.chain import chain_of
from tests import problems


class Skip(problems.TwoMaps):
    """The third unit goes around the ReLU."""

    def forward(self, z: Tensor) -> Tensor:
        h = self.first(z)
        return torch.tanh(self.second(torch.relu(h)) + h[:, 2:])


class Written(problems.TwoMaps):
    """Half of the ReLU's output is overwritten by what flows past it."""

    def forward(self, z: Tensor) -> Tensor:
        h = self.first(z)
        a = torch.relu(h)
        a[:, 1] = h[:, 0]
        return torch.tanh(self.second(a))


class Follow(problems.TwoMaps):
    """torch.fx cannot follow it."""

    def forward(self, z: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(z))) * (1 if len(z) > 0 else 2)


def chain(generator: nn.Module) -> set[str]:
    network: Any = Network(generator.eval(), (2,))
    known = [(layer, network._catalogue.calls[path]) for path, layer in network._catalogue.layers.items()]
    return chain_of(network._forward.fresh(), known, network._trace)


@pytest.mark.parametrize(
    ("generator", "expected"),
    [
        (nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True), nn.Linear(3, 2)), {"0", "1", "2"}),
        (problems.Plain(), {"0", "1", "2"}),
        (Skip(), {"first", "tanh()", "add()"}),
        (Written(), set()),
    ],
)
def test_layers_that_all_leads_through(generator: nn.Module, expected: set[str]) -> None:
    assert chain(generator) - {""} == expected


def test_nothing_is_said_of_what_cannot_be_followed() -> None:
    assert chain(Follow()) == set()
    assert Network(Written().eval(), (2,)).past("relu()") != 0.0
