# SPDX-License-Identifier: MIT
"""The settings of BerOpt: what is refused."""

import pytest

from egbas.beropt import BerOptConfig
from egbas.errors import ConfigError


@pytest.mark.parametrize(
    "bad",
    [
        {"sparsity": 0.0},
        {"sparsity": float("nan")},
        {"threshold": 1.0},
        {"threshold": 0.0},
        {"masks": 0},
        {"learning_rate": -1.0},
        {"temperatures": (1.0, 0.0)},
        {"anneal_steps": 0},
        {"max_steps": 10},
    ],
)
def test_settings_out_of_range(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        BerOptConfig(**bad)  # type: ignore[arg-type]
