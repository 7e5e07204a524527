# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor

import egbas
from egbas.errors import ConfigError
from egbas.network import Network
from egbas.region import Intersection, SupportingRegion
from tests.problems import BoxNet
from tests.runs import plane_run


class Below:
    def __init__(self, bound: float) -> None:
        self.bound, self.n_asked = bound, 0

    def contains(self, z: Tensor) -> Tensor:
        self.n_asked += len(z)
        return z[:, 0] < self.bound


def test_a_latent_lies_in_all_of_them() -> None:
    first, second = Below(2.0), Below(1.0)
    both = Intersection([first, second])
    assert isinstance(both, egbas.Region)
    z = torch.tensor([[0.5, 0.0], [1.5, 0.0], [2.5, 0.0]])
    assert both.contains(z).tolist() == [True, False, False]
    assert (first.n_asked, second.n_asked) == (3, 2)  # nobody asks about what is outside already
    assert both.margin is None  # they tell none
    assert both.contains(z[:0]).shape == (0,)


def test_margins_of_layers_are_the_smallest() -> None:
    region, query = plane_run().support.region, plane_run().query
    network = Network(BoxNet().eval(), (2,))
    units, signs = torch.tensor([0]), torch.ones(1, dtype=torch.int8)
    other = SupportingRegion.around(network, network.resolve(1), torch.zeros(2), units, signs, reach=1.0)
    margin = Intersection([region, other]).margin
    assert margin is not None
    z = query + 0.1 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(margin(z), torch.minimum(region.margin(z), other.margin(z)))
    assert torch.equal(margin(z) >= 0, Intersection([region, other]).contains(z))


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("given", [[], [3]])
def test_what_is_no_region_is_refused(given: list[object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Intersection(given)  # type: ignore[arg-type]
