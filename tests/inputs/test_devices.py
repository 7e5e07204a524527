# SPDX-License-Identifier: MIT
import threading

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import ConfigError
from egbas.inputs.devices import SMALL_NETWORK_UNITS, find_device, set_threads


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="--device cpu"):
        find_device("warp")


class Counting(nn.Module):
    """So many units; notes how many threads torch has in each pass."""

    def __init__(self, n_units: int) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.n_units, self.lock = n_units, threading.Lock()  # which cannot be copied

    def forward(self, z: Tensor) -> Tensor:
        self.seen.append(torch.get_num_threads())
        return torch.relu(z[:, :1].expand(-1, self.n_units))


@pytest.mark.parametrize(
    ("n_units", "given", "expected"),
    [(10, None, 1), (SMALL_NETWORK_UNITS, None, 3), (10, 2, 2), (SMALL_NETWORK_UNITS, 2, 2)],
)
def test_threads_are_chosen_before_a_pass_by_several(n_units: int, given: int | None, expected: int) -> None:
    generator, before = Counting(n_units), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        set_threads(generator, (2,), given)
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)
    assert generator.seen == ([] if given else [1])
