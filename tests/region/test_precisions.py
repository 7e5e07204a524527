# SPDX-License-Identifier: MIT
import torch
from torch import Tensor, nn

from egbas.network import Network
from egbas.region import Precisions
from egbas.zoo.models import load_model
from tests.problems import BoxNet


def precisions_of(module: nn.Module, d: int, layer: int = 1) -> Precisions:
    network = Network(module.eval(), (d,))
    return Precisions.of(network, network.resolve(layer))


def test_a_float64_network_is_its_own_exact_self() -> None:
    precisions = precisions_of(BoxNet().double(), 2)
    assert precisions.exact is precisions.split
    assert precisions.linear is None
    assert precisions.kept(torch.tensor([0])) is None


def test_units_of_a_layer_above_share_a_stem() -> None:
    model = load_model("dcgan-mnist")
    network = Network(model.generator, model.latent.shape)
    precisions = Precisions.of(network, network.resolve(3))
    one, other = precisions.kept(torch.tensor([5, 9])), precisions.kept(torch.tensor([7]))
    assert one is not None
    assert other is not None
    assert one.shared is other.shared


def test_units_that_are_affine_in_the_latent_have_the_latent_as_their_stem() -> None:
    kept = precisions_of(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.ReLU()), 3).kept(torch.tensor([1]))
    assert kept is not None
    assert kept.stem(torch.ones(2, 3)).tolist() == [[[1.0] * 3]] * 2


class Single(nn.Module):
    """Computes in float32, whatever its weights are."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, z: Tensor) -> Tensor:
        return torch.relu(nn.functional.linear(z.float(), self.linear.weight.float(), self.linear.bias.float()))


def test_a_network_that_cannot_compute_in_float64() -> None:
    precisions = precisions_of(Single(), 3)
    assert precisions.exact is precisions.split
    assert precisions.linear is None
