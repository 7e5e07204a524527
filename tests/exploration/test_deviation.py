# SPDX-License-Identifier: MIT
"""The standard deviation of each pixel, whatever the batches."""

import pytest
import torch

from egbas.exploration import deviation
from egbas.exploration.deviation import PixelSums, deviation_of, shown_of
from egbas.network import Network
from tests.problems import QUERY_X, Plain


def test_the_deviation_is_that_of_the_images() -> None:
    network = Network(Plain(), (2,))
    z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    expected = network.generate(z).std(dim=0, correction=0)
    torch.testing.assert_close(deviation_of(network, z, QUERY_X).float(), expected)


def test_little_cancels_far_from_zero() -> None:
    images = 1e6 + torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 1e4
    sums = PixelSums(images[0])
    for batch in images.split(7):
        torch.testing.assert_close(sums.add(batch), batch - images[0])
    for correction in (0, 1):
        expected = images.std(dim=0, correction=correction)
        torch.testing.assert_close(sums.deviation(correction), expected, rtol=1e-6, atol=0)


def test_of_large_images_fewer_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(Plain(), (2,))
    assert shown_of(network, 500) == 500
    monkeypatch.setattr(deviation, "LARGE_IMAGE", 1)
    assert shown_of(network, 500) == 100 and shown_of(network, 7) == 7
