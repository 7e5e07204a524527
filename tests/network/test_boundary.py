# SPDX-License-Identifier: MIT
"""Boundaries of smooth activations: at zero, at the turning point, at a quantile of the prior."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import egbas
from egbas.errors import ConfigError, LayerNotFoundError
from egbas.network import Network
from egbas.network.boundary import Boundary, quantiles, turning_points
from egbas.region import Precisions, SupportingRegion
from tests import problems

Z = torch.randn(200, 2, generator=torch.Generator().manual_seed(3))


class Sequence(nn.Module):
    """The two maps of ``problems`` around a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = problems.linear(problems.FIRST, problems.SHIFT), problems.linear(problems.SECOND)
        self.function = function

    def forward(self, z: Tensor) -> Tensor:
        return self.second(self.function(self.first(z)))


# What scipy.optimize.brentq finds for the derivative.
TURNING = {
    "silu": (F.silu, -1.2784645427610738),
    "silu_inplace": (lambda x: F.silu(x, inplace=True), -1.2784645427610738),
    "swish_by_hand": (lambda x: x * torch.sigmoid(x), -1.2784645427610738),
    "quick_gelu": (lambda x: x * torch.sigmoid(1.702 * x), -1.2784645427610738 / 1.702),
    "gelu": (F.gelu, -0.7517916243938656),
    "mish": (F.mish, -1.1924312145154974),
    "hardswish": (F.hardswish, -1.5),
    "tanhshrink_of_two": (lambda x: x - 2 * torch.tanh(x), math.acosh(math.sqrt(2))),
    "bent": (lambda x: F.leaky_relu(x, -0.5), 0.0),
}


@pytest.mark.parametrize("name", TURNING)
def test_the_turning_point_is_where_the_activation_turns(name: str) -> None:
    function, expected = TURNING[name]
    split = Network(Sequence(function).eval(), (2,), boundary="turning").split(1)
    assert split.thresholds is not None
    torch.testing.assert_close(split.thresholds, torch.full((3,), expected), rtol=1e-5, atol=2e-6)


def test_of_two_turning_points_that_are_equally_near_the_positive_one_counts() -> None:
    points, n = turning_points(torch.sin, torch.zeros(4, dtype=torch.float64))
    assert n == 4
    torch.testing.assert_close(points, torch.full((4,), math.pi / 2, dtype=torch.float64), rtol=1e-6, atol=0)


def test_units_with_functions_of_their_own() -> None:
    scale = torch.tensor([1.0, 3.0, 0.0, -2.0], dtype=torch.float64)
    points, n = turning_points(lambda h: F.silu(h) * scale, torch.zeros(4, dtype=torch.float64))
    assert n == 3
    torch.testing.assert_close(points, torch.tensor([1.0, 1.0, 0.0, 1.0], dtype=torch.float64) * -1.2784645427)


@pytest.mark.parametrize("function", [torch.relu, torch.tanh, F.softplus, torch.sigmoid, F.elu, F.leaky_relu, F.relu6])
def test_what_rises_all_the_way_has_no_turning_point(function: Callable[[Tensor], Tensor]) -> None:
    network = Network(Sequence(function).eval(), (2,), boundary="turning")
    with pytest.raises(LayerNotFoundError, match="has no turning point"):
        network.split(1)


def test_a_module_that_is_no_activation_has_no_turning_point() -> None:
    with pytest.raises(LayerNotFoundError, match="its boundaries are at its own output"):
        Network(Sequence(F.silu).eval(), (2,), boundary="turning").split("first")


def test_units_without_a_turning_point_are_told_once() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([0.25, -0.5, 0.1]))

        def forward(self, x: Tensor) -> Tensor:
            return F.prelu(x, self.weight)

    network = Network(Sequence(Own()).eval(), (2,), boundary="turning")
    network.split(1)
    network.split(1)
    told = [text for text in network.notices if "turning point" in text]
    assert len(told) == 1
    assert told[0].startswith("2 of 3 units of layer 'function.prelu()' have no turning point")


@pytest.mark.parametrize("layer", [1, "first"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_so_much_of_the_prior_lies_below_a_quantile(layer: int | str, share: float) -> None:
    latent = egbas.LatentSpace(shape=(2,), prior="uniform", bound=2.0)
    boundary = Boundary.of(f"quantile:{share}", latent)
    split = Network(Sequence(F.silu).eval(), (2,), boundary=boundary).split(layer)
    draws = latent.sample(4000, torch.Generator().manual_seed(9))
    below = (split.head(draws) < 0).double().mean(dim=0)
    assert ((below - share).abs() < 0.05).all()  # three deviations of 1,024 draws


def test_a_quantile_lies_between_two_draws() -> None:
    latent = egbas.LatentSpace(shape=(1,))
    found = quantiles(lambda z: torch.cat([z, 2 * z], dim=1), 2, 0.25, latent)
    z = latent.sample(1024, torch.Generator().manual_seed(0)).sort(dim=0).values[:, 0]
    assert found.tolist() == [float((z[255] + z[256]) / 2), float(z[255] + z[256])]


@pytest.mark.parametrize("told", ["middle", "quantile", "quantile:1", "quantile:0", "quantile:nan", 0.5, "turning:2"])
@pytest.mark.usefixtures("without_type_checks")
def test_what_is_no_boundary_is_refused(told: str) -> None:
    with pytest.raises(ConfigError, match="expected zero, turning, or quantile:Q"):
        Boundary.of(told)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("told", ["zero", "turning", "quantile:0.25", "quantile:0.9999999"])
def test_a_boundary_is_told_as_it_is_read(told: str) -> None:
    assert str(Boundary.of(told)) == told
    assert str(Boundary.of(Boundary.of(told))) == told


@pytest.mark.parametrize("told", ["turning", "quantile:0.3"])
def test_a_region_is_bounded_by_the_thresholds_in_every_way_that_it_is_computed(told: str) -> None:
    generator = nn.Sequential(problems.linear(problems.FIRST, problems.SHIFT), nn.SiLU(), nn.Linear(3, 4), nn.SiLU())
    generator = nn.Sequential(*generator, nn.Linear(4, 2)).eval().requires_grad_(False)
    network = Network(generator, (2,), boundary=told)
    for layer, head in ((1, generator[:1]), (2, generator[:3])):
        precisions = Precisions.of(network, network.resolve(layer))
        thresholds = precisions.split.thresholds
        assert thresholds is not None
        h = head(Z) - thresholds
        torch.testing.assert_close(precisions.split.head(Z), h)
        torch.testing.assert_close(precisions.exact.head(Z).float(), h)
        assert precisions.linear is not None
        units, signs = torch.arange(len(thresholds)), h[0].sign().to(torch.int8)
        region = SupportingRegion.of(precisions, Z[0], units, signs, reach=3.0)
        assert region.halfspaces is not None  # the kept units alone
        assert torch.equal(region.contains(Z), (h * signs >= 0).all(dim=1))
        tail = precisions.split.at(Z[0])
        torch.testing.assert_close(tail.h, h[0])
        torch.testing.assert_close(tail.a, generator[: 2 * layer](Z[:1])[0])  # the masks are those of zero


def test_zero_is_what_it_always_was() -> None:
    network = Network(Sequence(F.silu).eval(), (2,), boundary="zero")
    assert network.split(1).thresholds is None
