# SPDX-License-Identifier: MIT
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from egbas.errors import ConfigError
from egbas.inputs.devices import SMALL_NETWORK_UNITS, find_device, set_threads
from egbas.network import Network


@pytest.fixture
def threads() -> Iterator[int]:
    """The number of threads before the test, which it has again afterwards."""
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="--device cpu"):
        find_device("warp")


def test_a_small_network_gets_one_thread(threads: int) -> None:
    small = Network(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4)).eval(), (2,))
    assert sum(layer.units for layer in small.layers) < SMALL_NETWORK_UNITS
    set_threads(small, None)
    assert torch.get_num_threads() == 1


def test_a_number_of_threads_that_is_given_counts(threads: int) -> None:
    small = Network(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4)).eval(), (2,))
    set_threads(small, 2)
    assert torch.get_num_threads() == 2
