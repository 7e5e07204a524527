# SPDX-License-Identifier: MIT
"""Kept units alone against the whole layer: every kind of linear map, strides, paddings and borders."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from egbas.network import Network
from egbas.region.affine import affine_units
from egbas.region.kept_units import LinearLayer, affine_kept_units
from egbas.zoo.models import load_model

Size = int | tuple[int, int]


def linear_layer(module: nn.Module, layer: int | str, d: int) -> tuple[LinearLayer | None, Network]:
    network = Network(module.eval(), (d,))
    return LinearLayer.of(network.split(layer), network.split(layer).in_float64()), network


def assert_alike(module: nn.Module, layer: int | str, d: int, units: Tensor | None = None) -> None:
    layered, network = linear_layer(module, layer, d)
    assert layered is not None
    split = network.split(layer)
    units = torch.arange(split.layer.units) if units is None else units
    kept, z = layered.kept(units), torch.randn(7, d, generator=torch.Generator().manual_seed(0))
    h = split.head(z)[:, units].double().numpy()
    np.testing.assert_allclose(kept.values(kept.stem(z)), h, rtol=0, atol=2e-6 * float(np.abs(h).max()))


SHAPE = (3, 5, 6)  # of what goes into the maps under test


def around(linear: nn.Module, *above: nn.Module) -> nn.Module:
    """A network whose second layer is the map under test."""
    below = nn.Sequential(nn.Linear(4, 90), nn.LeakyReLU(0.1), nn.Unflatten(1, SHAPE))
    return nn.Sequential(*below, linear, *above, nn.ReLU(inplace=True))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), list(itertools.product([1, 3, 4, (2, 3)], [1, 2, (2, 1)], [0, 1, 2]))
)
def test_convolutions(kernel: Size, stride: Size, padding: Size) -> None:
    torch.manual_seed(1)
    assert_alike(around(nn.Conv2d(3, 4, kernel, stride, padding)), 2, 4)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "more"),
    [
        (3, 2, 1, 0),
        (3, 2, 1, 1),
        (4, 2, 1, 0),
        (4, 1, 0, 0),
        (2, 2, 0, 0),
        (1, 2, 0, 1),  # two of the four phases meet no place of the kernel
        (5, 3, 2, (1, 2)),
        ((4, 3), (2, 1), (1, 0), 0),
    ],
)
def test_transposed_convolutions(kernel: Size, stride: Size, padding: Size, more: Size) -> None:
    torch.manual_seed(1)
    assert_alike(around(nn.ConvTranspose2d(3, 4, kernel, stride, padding, output_padding=more)), 2, 4)


def trained_norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    for values in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(values)  # type: ignore[arg-type]
    nn.init.uniform_(norm.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return norm


def test_what_lies_above_the_map_is_taken_in() -> None:
    torch.manual_seed(1)
    assert_alike(around(nn.Conv2d(3, 4, 3, bias=False), trained_norm(4), nn.Flatten()), 2, 4)
    assert_alike(around(nn.ConvTranspose2d(3, 4, 4, 2, 1), trained_norm(4)), 2, 4)
    assert_alike(
        nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 7, bias=False), nn.BatchNorm1d(7), nn.ELU()), 2, 4
    )


def test_named_modules_and_few_units() -> None:
    torch.manual_seed(1)
    assert_alike(around(nn.Conv2d(3, 4, 3, padding=1)), "3", 4, units=torch.tensor([119, 0, 7, 7, 64]))
    assert_alike(around(nn.Conv2d(3, 4, 3, padding=1)), 2, 4, units=torch.tensor([3]))


@pytest.mark.parametrize("layer", [1, 2, 3, 4, 5, 6])
def test_an_embedded_pggan(layer: int) -> None:
    model = load_model("pggan-mnist")
    units = torch.arange(0, Network(model.generator, model.latent.shape).resolve(layer).units, 37)
    assert_alike(model.generator, layer, 64, units)


class Sorted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sort(dim=1).values


@pytest.mark.parametrize(
    "above", [nn.LayerNorm(7), Sorted(), nn.AvgPool1d(7)], ids=lambda module: type(module).__name__
)
def test_what_mixes_units_above_the_map_is_noticed(above: nn.Module) -> None:
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 7), above, nn.ReLU())
    assert linear_layer(net, 2, 4)[0] is None


def test_only_float32_on_the_processor() -> None:
    network = Network(nn.Sequential(nn.Linear(4, 5), nn.ReLU()).double().eval(), (4,))
    assert LinearLayer.of(network.split(1), network.split(1)) is None


def test_units_that_are_affine_in_the_latent_need_no_stem() -> None:
    network = Network(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 7), nn.ReLU()).eval(), (4,))
    units, exact = torch.tensor([6, 2]), network.split(1).in_float64()
    affine = affine_units(exact, units, 4, dtype=torch.float64)
    assert affine is not None
    kept, z = affine_kept_units(affine), torch.randn(9, 4)
    x = kept.stem(z)
    assert x.shape == (9, 1, 4)
    np.testing.assert_allclose(kept.values(x), exact.head(z)[:, units].numpy(), rtol=1e-5, atol=1e-6)
