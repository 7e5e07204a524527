# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor, nn

from egbas.network import Network, Split
from egbas.region.affine import affine_units
from egbas.zoo.models import load_model

UNITS = torch.tensor([3, 0, 7])


def exact(module: nn.Module, layer: int, d: int) -> Split:
    return Network(module.eval(), (d,)).split(layer).in_float64()


def test_the_first_layer_of_a_generator() -> None:
    model = load_model("dcgan-mnist")
    split = exact(model.generator, 1, 64)
    affine = affine_units(split, UNITS, 64, dtype=torch.float64)
    assert affine is not None
    z = 3 * torch.randn(20, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(affine(z), split.head(z)[:, UNITS], rtol=1e-10, atol=1e-10)
    single = affine_units(split, UNITS, 64, dtype=torch.float32)
    assert single is not None
    assert single(z).dtype == torch.float32


@pytest.mark.parametrize("layer", [2, 3])
def test_layers_above_a_nonlinearity_are_not(layer: int) -> None:
    assert affine_units(exact(load_model("dcgan-mnist").generator, layer, 64), UNITS, 64, dtype=torch.float32) is None


class Bent(nn.Module):
    """Affine near the origin only; the bend is not counted as a non-linearity."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 8)

    def forward(self, z: Tensor) -> Tensor:
        return torch.relu(self.linear(z.clamp(-20, 20)))


def test_a_bend_far_away_is_noticed() -> None:
    assert affine_units(exact(Bent(), 1, 4), UNITS, 4, dtype=torch.float32) is None


def test_only_float64_says_whether_a_layer_is_affine() -> None:
    split = Network(nn.Sequential(nn.Linear(4, 8), nn.ReLU()).eval(), (4,)).split(1)
    assert affine_units(split, UNITS, 4, dtype=torch.float32) is None
