# SPDX-License-Identifier: MIT
import dataclasses

import pytest
import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig, BerOptStatus
from egbas.beropt.config import DEFAULT_LEVEL
from egbas.errors import ConfigError
from egbas.exploration.clock import Clock
from egbas.exploration.problem import Problem
from egbas.exploration.supports import check_active, config_of, levels_of, region_of, supports_of
from tests.problems import HALVES_QUERY, LEFT, RIGHT, HalvesNet

QUICK = BerOptConfig(sparsity=0.2, anneal_steps=100, max_steps=300)


def problem(queries: list[Tensor], net: nn.Module | None = None, focus: object = None) -> Problem:
    seeds = list(range(len(queries)))
    settings = {"latent": None, "geometry": "auto", "model_name": None, "focus": focus}
    return Problem.of(net or HalvesNet(), queries, seeds, 1, **settings)  # type: ignore[arg-type]


def test_without_settings_there_is_a_level() -> None:
    assert config_of(None, None) == BerOptConfig(level=DEFAULT_LEVEL)
    assert config_of(3, None) == BerOptConfig(level=3)


def test_settings_without_a_level_keep_their_sparsity() -> None:
    assert config_of(None, QUICK) is QUICK
    assert config_of(None, BerOptConfig()) == BerOptConfig()


def test_a_level_goes_with_settings_that_say_nothing_of_the_size() -> None:
    other = BerOptConfig(threshold=0.3, max_steps=900)
    assert config_of(3, other) == dataclasses.replace(other, level=3)
    assert config_of(3, dataclasses.replace(other, level=3)) == dataclasses.replace(other, level=3)


@pytest.mark.parametrize(
    ("level", "beropt", "message"),
    [
        (3, BerOptConfig(sparsity=2.0), "got level=3 and a sparsity of 2.0; .*leave one out"),
        (3, BerOptConfig(level=4), "got level=3 and settings of BerOpt with level 4"),
        (9, None, "got level 9; expected a whole number from 1"),
        (0, BerOptConfig(), "got level 0"),
    ],
)
def test_what_contradicts_a_level_is_refused(level: int, beropt: BerOptConfig | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(level, beropt)


def test_each_query_has_a_set_and_a_region() -> None:
    queries = [HALVES_QUERY, -HALVES_QUERY]
    found = supports_of(problem(queries), QUICK, 3.0, Clock(None, 2))
    for query, one in zip(queries, found, strict=True):
        assert one.beropt is not None and one.beropt.units.tolist() == [0, 1, 2, 3]
        assert one.region.contains(torch.stack([query, torch.tensor([1.5, 0.0])])).tolist() == [True, False]


@pytest.mark.parametrize(("focus", "units"), [(LEFT, [0, 1]), (RIGHT, [2, 3])])
def test_a_focus_reaches_beropt(focus: object, units: list[int]) -> None:
    (found,) = supports_of(problem([HALVES_QUERY], focus=focus), BerOptConfig(level=5), 3.0, Clock(None, 1))
    assert found.beropt is not None and found.beropt.units.tolist() == units
    z = torch.tensor([[1.5, 0.0], [0.0, 1.5]])
    assert found.region.contains(z).tolist() == [units != [0, 1], units != [2, 3]]


def test_levels_of_a_query_are_those_of_each_alone() -> None:
    one = problem([HALVES_QUERY])
    for level, many in zip((1, 5), levels_of(one, QUICK, [1, 5], None), strict=True):
        (alone,) = supports_of(one, dataclasses.replace(QUICK, level=level), 3.0, Clock(None, 1))
        assert alone.beropt is not None
        assert torch.equal(alone.beropt.theta, many.theta)
        assert alone.beropt.config == many.config


def test_the_region_is_that_of_the_units() -> None:
    one = problem([HALVES_QUERY])
    (found,) = levels_of(one, QUICK, [5], None)
    left = dataclasses.replace(found, units=found.units[:2], signs=found.signs[:2])
    region = region_of(one, HALVES_QUERY, left, 3.0)
    assert region.contains(torch.tensor([[0.9, 5.0], [1.1, 0.0], [-0.9, -5.0]])).tolist() == [True, False, True]


def test_progress_of_levels_is_told() -> None:
    told: list[str] = []
    levels_of(problem([HALVES_QUERY]), QUICK, [5], lambda done, total, text: told.append(text))
    assert any(text.startswith("level 5") for text in told)


def test_an_empty_set_is_refused_and_says_what_to_change() -> None:
    one = problem([HALVES_QUERY], HalvesNet(backdrop=10.0))
    with pytest.raises(ConfigError, match=r"empty at level 5.*error is 0\.09, .* allows 0\.10; choose a finer level"):
        supports_of(one, BerOptConfig(level=5), 3.0, Clock(None, 1))
    with pytest.raises(ConfigError, match=r"no unit has theta above 0\.5; lower the sparsity \(now 100\.0\)"):
        supports_of(one, BerOptConfig(sparsity=100.0), 3.0, Clock(None, 1))


def test_many_levels_may_have_empty_sets() -> None:
    (found,) = levels_of(problem([HALVES_QUERY], HalvesNet(backdrop=10.0)), QUICK, [5], None)
    assert found.status is BerOptStatus.EMPTY


def test_a_layer_without_an_active_unit_is_refused() -> None:
    net = nn.Sequential(nn.Linear(2, 4, bias=False), nn.ReLU(), nn.Linear(4, 3)).eval()
    silent = problem([torch.zeros(2)], net)
    with pytest.raises(ConfigError, match="no unit of layer '1' is active"):
        levels_of(silent, QUICK, [5], None)
    assert silent.precisions is not None
    with pytest.raises(ConfigError, match="choose another query"):
        check_active(silent.precisions.split.at(torch.zeros(2)))
