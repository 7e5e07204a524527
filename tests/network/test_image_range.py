# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.errors import ConfigError, NetworkError
from egbas.network import Network
from egbas.network.image_range import checked_range, image_range_of


def images(low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("low", "high", "limits"),
    [
        (0, 1, (0, 1)),
        (-0.05, 1.08, (0, 1)),  # a decoder without a last Sigmoid overshoots
        (-1, 1, (-1, 1)),
        (-1.1, 1.15, (-1, 1)),
        (-1, -0.3, (-1, 1)),  # dark
        (0, 255, (0, 255)),
        (-8, 262, (0, 255)),
        (0, 40, None),
        (-3, 3, None),
        (50, 900, None),
    ],
)
def test_ranges_are_told_apart(low: float, high: float, limits: tuple[float, float] | None) -> None:
    found = image_range_of(object(), images(low, high))
    assert (None if found is None else found.limits) == limits
    assert found is None or found.source == "images"


def test_the_generators_own_word_comes_first() -> None:
    class Dim(nn.Module):
        image_range = (0, 255)

        def forward(self, z: Tensor) -> Tensor:
            return z.sigmoid()[:, :, None, None].expand(-1, -1, 4, 4)

    known = Network(Dim(), (3,)).image_range
    assert known is not None
    assert known.record() == {"low": 0.0, "high": 255.0, "source": "generator"}


@pytest.mark.parametrize("given", [(1, 0), (0,), (0, float("nan")), "wide", (None, 1), 3])
def test_what_is_no_range(given: object) -> None:
    with pytest.raises(ConfigError, match=r"expected the pixel values of black and white"):
        checked_range(given)


def test_an_attribute_of_that_name_that_is_something_else_is_let_be() -> None:
    generator = nn.Sequential(nn.Linear(2, 4), nn.Sigmoid())
    generator.image_range = "wide"  # pyright: ignore[reportArgumentType]
    known = Network(generator.eval(), (2,)).image_range
    assert known is not None
    assert known.source == "images"


def test_pixels_that_were_rounded_to_uint8_are_refused_with_the_way_out() -> None:
    class Rounded(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return (255 * z.sigmoid()).to(torch.uint8)

    with pytest.raises(NetworkError, match=r"torch\.uint8.*before they are rounded"):
        egbas.list_layers(Rounded(), (3,))
