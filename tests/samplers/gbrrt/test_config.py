# SPDX-License-Identifier: MIT
import pytest

from egbas.errors import ConfigError
from egbas.samplers.gbrrt import GbRrtConfig


@pytest.mark.parametrize(
    "bad",
    [
        {"iterations": 0},
        {"iterations": 10**12},
        {"step_size": 0.0},
        {"step_size": -1.0},
        {"half_width": float("nan")},
        {"half_width": float("inf")},
        {"window": 0},
    ],
)
def test_settings_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        GbRrtConfig(**bad)
