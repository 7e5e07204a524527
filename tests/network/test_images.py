# SPDX-License-Identifier: MIT
from typing import Any

import pytest
import torch
from torch import Tensor

from egbas.errors import NetworkError
from egbas.network.images import close, image_of, pick_image, refuse_nonfinite

IMAGE, OTHER = torch.zeros(2, 1, 4, 4), torch.ones(2, 5)


@pytest.mark.parametrize(
    "output",
    [
        IMAGE,
        (IMAGE, OTHER),
        [None, IMAGE],
        {"w": OTHER, "image": IMAGE},
        {"n": 2, "picture": IMAGE, "w": OTHER},
        {"image": None, "x": IMAGE},
    ],
)
def test_the_image_is_found(output: Any) -> None:
    assert pick_image(output, Tensor) is IMAGE
    assert image_of(output, 2) is IMAGE


@pytest.mark.parametrize("output", [None, 3, "image", (), {"image": 1}])
def test_no_image_is_found(output: Any) -> None:
    assert pick_image(output, Tensor) is None
    with pytest.raises(NetworkError, match="expected a tensor of images"):
        image_of(output, 2)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(NetworkError, match="NaN or infinite"):
        refuse_nonfinite(torch.tensor([[0.0, value]]))


def test_close_is_relative_to_the_largest_entry() -> None:
    expected = torch.tensor([1000.0, 0.0])
    assert close(expected + torch.tensor([0.0, 0.1]), expected)
    assert not close(expected + torch.tensor([0.0, 1.0]), expected)
    assert close(expected + torch.tensor([0.0, 1.0]), expected, slack=10.0)
    assert not close(expected.double(), expected)
    assert not close(expected[:1], expected)
    assert close(torch.tensor([torch.nan, 1.0]), torch.tensor([torch.nan, 1.0]))
