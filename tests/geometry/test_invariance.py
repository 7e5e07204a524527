# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.errors import ConfigError
from egbas.geometry import choose_geometry, is_scale_invariant
from egbas.latent import LatentSpace
from egbas.network import Network
from tests.problems import BoxNet, OctantNet, PixelNorm, RedundantUnit, ScaleInvariantNet, linear


class Unit(nn.Module):
    """z / ||z||, without the small number of pixel norm; NaN at zero."""

    def forward(self, z: Tensor) -> Tensor:
        return z / z.norm(dim=1, keepdim=True)


def network(net: nn.Module, d: int) -> tuple[Network, LatentSpace]:
    return Network(net.eval(), (d,)), LatentSpace(shape=(d,))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("d", [3, 64, 512])
def test_generators_that_normalise_their_latent(d: int, dtype: torch.dtype) -> None:
    assert is_scale_invariant(*network(ScaleInvariantNet(d).to(dtype), d))


def test_normalisation_without_a_small_number_and_after_the_first_layer() -> None:
    first = linear([[1.0, 1.0], [1.0, -1.0], [-1.0, 2.0]])
    assert is_scale_invariant(*network(nn.Sequential(Unit(), first, nn.ReLU()), 2))
    assert is_scale_invariant(*network(nn.Sequential(first, nn.ReLU(), PixelNorm()), 2))


@pytest.mark.parametrize("name", ["dcgan-mnist-2d", "dcgan-mnist"])
def test_the_embedded_models_are_flat(name: str) -> None:
    model = egbas.load_model(name)
    assert not is_scale_invariant(Network(model.generator, model.latent.shape), model.latent)


class Grows(nn.Module):
    """exp(9 z^2): infinite three times farther out."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.exp(9 * z.square())


class Nearly(nn.Module):
    """A generator whose image depends on the length of the latent, but only by 2 % of its range."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([Unit()(z), 0.04 * torch.tanh(z.norm(dim=1, keepdim=True) - 2)], dim=1)


@pytest.mark.parametrize(
    "net",
    [
        BoxNet(),
        RedundantUnit(),
        Grows(),
        Nearly(),
        nn.Sequential(linear([[1.0, 2.0], [-1.0, 1.0]]), nn.ReLU()),  # no bias: G(3z) = 3 G(z)
        nn.Sequential(linear([[4.0, 5.0], [-5.0, 4.0]]), nn.Tanh()),  # mostly saturated
        nn.Sequential(linear([[0.0, 0.0]], [1.0]), nn.ReLU()),  # one image for all latents says nothing
    ],
    ids=lambda net: type(net).__name__,
)
def test_ordinary_generators_are_flat(net: nn.Module) -> None:
    assert not is_scale_invariant(*network(net, 2))


def test_one_coordinate_is_no_sphere() -> None:
    assert not is_scale_invariant(*network(nn.Sequential(Unit(), linear([[1.0], [2.0]])), 1))


@pytest.mark.parametrize(
    ("known", "wanted", "chosen"),
    [
        ("flat", "auto", "sphere"),
        ("sphere", "auto", "sphere"),
        ("flat", "flat", "flat"),
        ("sphere", "flat", "flat"),
        ("flat", "sphere", "sphere"),
    ],
)
def test_choosing_for_a_scale_invariant_generator(known: str, wanted: str, chosen: str) -> None:
    latent = LatentSpace(shape=(3,), prior="uniform", bound=2.0, geometry=known)  # type: ignore[arg-type]
    space = choose_geometry(latent, Network(OctantNet(), (3,)), wanted)
    assert space == LatentSpace(shape=(3,), prior="uniform", bound=2.0, geometry=chosen)  # type: ignore[arg-type]


def test_choosing_for_an_ordinary_generator() -> None:
    latent, net = LatentSpace(shape=(2,)), Network(BoxNet(), (2,))
    assert choose_geometry(latent, net) is latent
    assert choose_geometry(latent, net, "sphere").geometry == "sphere"
    assert choose_geometry(LatentSpace(shape=(2,), geometry="sphere"), net).geometry == "sphere"


def test_an_unknown_geometry() -> None:
    with pytest.raises(ConfigError, match="'round' is unknown; expected one of auto, flat, sphere"):
        choose_geometry(LatentSpace(shape=(2,)), Network(BoxNet(), (2,)), "round")
