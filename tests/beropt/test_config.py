# SPDX-License-Identifier: MIT
"""The settings of BerOpt: what is refused, and the levels."""

import itertools

import pytest

import egbas
from egbas.beropt import BerOptConfig
from egbas.beropt.config import COARSEST, DEFAULT_LEVEL, FINEST, error_of
from egbas.errors import ConfigError


@pytest.mark.parametrize(
    "bad",
    [
        {"sparsity": 0.0},
        {"sparsity": float("nan")},
        {"threshold": 1.0},
        {"threshold": 0.0},
        {"masks": -1},
        {"learning_rate": -1.0},
        {"temperatures": (1.0, 0.0)},
        {"anneal_steps": 0},
        {"max_steps": 10},
        {"level": 0},
        {"level": 9},
    ],
)
def test_settings_out_of_range(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        BerOptConfig(**bad)  # type: ignore[arg-type]


def test_levels_go_from_a_half_to_three_hundredths() -> None:
    assert (COARSEST, FINEST) == (1, 8)
    assert error_of(1) == 0.5
    assert error_of(8) == pytest.approx(0.03, rel=1e-12)


def test_the_error_falls_by_the_same_factor_from_level_to_level() -> None:
    errors = [error_of(level) for level in range(COARSEST, FINEST + 1)]
    ratios = [after / before for before, after in itertools.pairwise(errors)]
    assert ratios == pytest.approx([(0.03 / 0.5) ** (1 / 7)] * 7)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("level", [0, 9, -1, 2.0, 2.5, "2", None])
def test_other_levels_do_not_exist(level: object) -> None:
    with pytest.raises(ConfigError, match=f"got level {level!r}; expected a whole number from 1 .* to 8"):
        error_of(level)  # type: ignore[arg-type]


def test_a_level_is_there_where_it_is_asked_for() -> None:
    assert BerOptConfig().level is None
    assert [BerOptConfig(level=level).level for level in (1, 8)] == [1, 8]
    assert COARSEST <= DEFAULT_LEVEL <= FINEST
    assert egbas.error_of is error_of
