# SPDX-License-Identifier: MIT
import torch
from torch import Tensor

import egbas
from egbas.network import Network
from egbas.region import SupportingRegion
from tests.problems import BoxNet


class Ball:
    def contains(self, z: Tensor) -> Tensor:
        return z.norm(dim=1) < 2


def test_contains_is_all_that_a_region_needs() -> None:
    assert isinstance(Ball(), egbas.Region)
    assert not isinstance(torch.nn.Linear(2, 2), egbas.Region)


def test_the_supporting_region_is_one() -> None:
    network = Network(BoxNet().eval(), (2,))
    units, signs = torch.tensor([0]), torch.ones(1, dtype=torch.int8)
    region = SupportingRegion.around(network, network.resolve(1), torch.zeros(2), units, signs, reach=1.0)
    assert isinstance(region, egbas.Region)
