# SPDX-License-Identifier: MIT
"""Layers by levels: the rows, that they are those of single explorations, and sets without units."""

import dataclasses
import functools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import nn

import egbas
from egbas.beropt import BerOptResult, error_of
from egbas.errors import ConfigError, LayerNotFoundError, NetworkError
from egbas.exploration import path
from egbas.exploration.facts import Within
from egbas.exploration.path import LevelPath, PathPoint, explore_path, level_within
from egbas.exploration.problem import Problem
from egbas.latent import LatentSpace
from egbas.samplers.chains import NOT_CONVERGED
from egbas.samplers.choice import PRIOR
from egbas.samplers.gbrrt import GbRrtConfig
from tests.problems import HALVES_QUERY, LEFT, HalvesNet, linear

ONES = linear([[1.0]], [1.0])

KEYS = {
    *("layer", "level", "sparsity", "units", "error", "log10_mass", "log10_mass_low", "log10_mass_high"),
    *("freedom", "freedom_low", "freedom_high", "q05", "q50", "q95", "status", "r_hat", "ess", "evaluations"),
    *("samples", "words", "judges", "focus", "feature_distance"),
}


class Constant(nn.Module):
    """A network with a column of ones beside its image."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        images = self.net(z)
        return torch.cat([images, torch.ones_like(images[..., :1])], dim=-1)


def path_of(net: nn.Module, layers: list[int | str], levels: list[int], **changes: object) -> LevelPath:
    settings = {"rng": 3, "samples": 20} | changes
    return explore_path(net, HALVES_QUERY, layers, levels, **settings)  # type: ignore[arg-type]


@functools.cache
def of_halves() -> LevelPath:
    return path_of(HalvesNet(), [1], [5, 1, 5])


@functools.cache
def of_a_backdrop() -> LevelPath:
    """Without any unit the image is off by 0.094: level 5 allows 0.1, level 6 0.067."""
    return path_of(HalvesNet(backdrop=10.0), [1], [5, 8])


def test_there_is_a_row_for_each_layer_and_level() -> None:
    layers = path_of(HalvesNet(), ["0", 1], [5]).rows()  # the linear map by its path, its non-linearity by its number
    assert [(row["layer"], row["level"]) for row in layers] == [(".0", 5), (1, 5)]
    assert [(row["layer"], row["level"]) for row in of_halves().rows()] == [(1, 1), (1, 5)]
    assert all(set(row) == KEYS for row in layers + of_halves().rows())


def test_a_layer_that_is_named_twice_has_one_row() -> None:
    assert [row["layer"] for row in path_of(HalvesNet(), [1, "1", 1], [5]).rows()] == [1]


def test_rows_say_what_the_points_hold() -> None:
    for point, row in zip(of_halves().points, of_halves().rows(), strict=True):
        assert row["units"] == len(point.beropt.units)
        assert row["error"] == point.beropt.fidelity <= error_of(row["level"])
        assert row["sparsity"] == point.beropt.config.sparsity
        assert point.run is not None and point.run.exact is not None and point.facts is not None
        assert row["log10_mass_low"] <= row["log10_mass"] <= row["log10_mass_high"] < 0
        assert row["freedom_low"] <= row["freedom"] <= row["freedom_high"]
        assert row["q05"] <= row["q50"] <= row["q95"]
        assert (row["status"], row["r_hat"] <= 1.05, row["ess"] >= 20) == ("CONVERGED", True, True)
        assert row["samples"] == len(point.latents)
        assert row["judges"].keys() == {"brightness", "contrast"}
        assert bool(point.run.region.contains(point.latents.float()).all())
        assert row["words"] == point.facts.words


def test_finer_levels_hold_more_by_hand() -> None:
    coarse, fine = of_halves().rows()
    # Level 1 leaves out one of the four sides of a square, level 5 has them all.
    side = math.erf(0.5**0.5)
    assert (coarse["units"], fine["units"]) == (3, 4)
    assert fine["log10_mass"] == pytest.approx(2 * math.log10(side), abs=0.05)
    assert coarse["log10_mass"] == pytest.approx(math.log10(side * (1 + side) / 2), abs=0.05)
    assert fine["freedom"] < coarse["freedom"]


def test_a_row_is_that_of_an_exploration() -> None:
    for point in of_halves().points:
        run = egbas.explore(
            HalvesNet(), HALVES_QUERY, 1, rng=3, level=point.level, samples=20, gbrrt=GbRrtConfig(iterations=20)
        )
        assert run.beropt is not None and run.exact is not None
        assert torch.equal(run.beropt.units, point.beropt.units)
        assert torch.equal(run.beropt.theta, point.beropt.theta)
        # The exact samples, too, whose random numbers are their own.
        assert torch.equal(run.exact.latents, point.latents)
        assert run.facts is not None and point.facts is not None
        assert (run.facts.mean, run.mass.log10) == (point.facts.mean, point.row()["log10_mass"])  # type: ignore[union-attr]


def test_the_same_seed_gives_the_same_path() -> None:
    again = path_of(HalvesNet(), [1], [1, 5], rng=torch.Generator().manual_seed(0))
    assert path_of(HalvesNet(), [1], [1, 5], rng=again.seed).rows() == again.rows()


def test_a_set_without_units_holds_nothing() -> None:
    empty = of_a_backdrop().points[0]
    row = empty.row()
    assert (row["units"], row["status"], row["evaluations"]) == (0, "PRIOR", 0)
    assert (row["log10_mass"], row["log10_mass_low"], row["log10_mass_high"]) == (0.0, 0.0, 0.0)
    assert row["freedom"] == pytest.approx(1.0, abs=0.1)
    assert row["error"] == pytest.approx(0.0938, abs=1e-4)
    assert (row["r_hat"], row["ess"], empty.run) == (None, None, None)
    assert row["samples"] == len(empty.latents) == 400
    assert empty.latents.std(dim=0).tolist() == pytest.approx([1.0, 1.0], abs=0.15)  # draws of the prior


def test_a_finer_level_of_it_has_units_again() -> None:
    row = of_a_backdrop().points[1].row()
    assert row["units"] == 4
    assert (row["status"], row["log10_mass"] < -0.2) == ("CONVERGED", True)


def test_the_path_carries_what_pictures_need() -> None:
    found = of_halves()
    assert torch.equal(found.query, HALVES_QUERY)
    assert torch.equal(found.query_image, found.exploring(HALVES_QUERY[None])[0])
    assert found.query_image.shape == (1, 2, 4)
    assert (found.model_name, found.seed) == ("HalvesNet", 3)


def test_a_focus_judges_and_features_go_to_every_point() -> None:
    found = path_of(
        HalvesNet(),
        [1],
        [5],
        focus=LEFT,
        judges=[lambda images: {"corner": images[:, 0, 0, 0]}],
        features=lambda images: images[..., 0].flatten(1),
        samples=100,
    )
    (point,) = found.points
    assert point.beropt.units.tolist() == [0, 1]
    assert point.row()["judges"].keys() == {"brightness", "contrast", "corner"}
    assert point.facts is not None and point.facts.focus is not None and point.facts.feature_distance is not None
    assert point.facts.focus[0] < 0.75 < point.facts.focus[1]


def test_progress_counts_the_points() -> None:
    told: list[tuple[int, int, str]] = []

    def note(stage: str, done: int, total: int, text: str) -> None:
        if stage == "path":
            told.append((done, total, text))

    path_of(HalvesNet(), [1], [1, 5], progress=note)
    assert [(done, total) for done, total, _ in told] == [(1, 2), (2, 2)]
    assert told[1][2].startswith("layer 1, level 5: 4 units, freedom 0.")


def test_callers_may_have_switched_gradients_off() -> None:
    with torch.no_grad():
        assert path_of(HalvesNet(), [1], [1, 5]).rows() == of_halves().rows()


def test_inference_mode_of_the_caller_does_no_harm() -> None:
    net = HalvesNet()
    with torch.inference_mode():
        assert path_of(net, [1], [5]).rows()[0]["units"] == 4


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("layers", "levels", "changes", "error", "message"),
    [
        ([], [1], {}, ConfigError, r"got layers \[\] and"),
        ([1], [], {}, ConfigError, "at least one layer, and one of levels from 1 to 8"),
        ([1], [0], {}, ConfigError, r"levels \[0\]"),
        ([1], [1, 9], {}, ConfigError, r"levels \[1, 9\]"),
        ([1], [1.5], {}, ConfigError, r"levels \[1\.5\]"),
        ([1], [1, "2"], {}, ConfigError, r"levels \[1, '2'\]"),
        ([1], 3, {}, ConfigError, "and levels 3; expected a list"),
        (2, [1], {}, ConfigError, "got layers 2 and"),
        ("2", [1], {}, ConfigError, "got layers '2' and"),
        ([9], [1], {}, LayerNotFoundError, "9"),
        ([1], [1], {"samples": 0}, ConfigError, "at least 1 for an exact sampler"),
        ([1], [1], {"max_evaluations": 0}, ConfigError, "max_evaluations=0"),
        ([1], [1], {"rng": -1}, ConfigError, "seed"),
        ([1], [1], {"focus": (0, 0, 9, 9)}, ConfigError, "does not lie in the image"),
        ([1], [1], {"latent": LatentSpace(shape=(1, 2))}, NetworkError, "latents of shape"),
    ],
)
def test_what_is_no_path(
    layers: list[int], levels: list[int], changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        path_of(HalvesNet(), layers, levels, **changes)  # type: ignore[arg-type]


def test_a_layer_without_an_active_unit_is_told_before_any_work() -> None:
    told: list[str] = []
    net = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]]), nn.ReLU(), linear([[1.0, 1.0]], [-9.0]), nn.ReLU(), ONES)
    with pytest.raises(ConfigError, match="no unit of layer '3' is active at this query"):
        path_of(net.eval(), [1, 2], [1], progress=lambda stage, *others: told.append(stage))
    assert told == []


def test_a_prior_that_cannot_be_restricted_is_told_before_any_work() -> None:
    with pytest.raises(ConfigError, match=r"there are no exact samples, which this needs: .*outside the support"):
        path_of(HalvesNet(), [1], [1], latent=LatentSpace(shape=(2,), prior="uniform", bound=0.1))


# The coarsest level within a distance


def test_the_level_within_a_distance_is_the_coarsest_one() -> None:
    q95 = [row["q95"] for row in path_of(HalvesNet(), [1], [1, 2, 3]).rows()]
    assert q95[0] > q95[1] == q95[2]  # from level 2 on all four units are kept
    for delta, level in ((q95[0] + 0.01, 1), ((q95[0] + q95[1]) / 2, 2)):
        found = level_within(HalvesNet(), HALVES_QUERY, 1, delta, rng=3, samples=20)
        assert (found.level, found.delta, found.unconverged, found.warnings) == (level, delta, (), ())
        assert found.reached == dict(zip(range(1, level + 1), q95, strict=False))


@pytest.mark.parametrize("setting", [torch.no_grad, torch.inference_mode, lambda: torch.device("meta")])
def test_a_distance_finds_the_same_level_under_any_setting(setting: Callable[[], AbstractContextManager[Any]]) -> None:
    delta = path_of(HalvesNet(), [1], [1]).rows()[0]["q95"] + 0.01
    expected = level_within(HalvesNet(), HALVES_QUERY, 1, delta, rng=3, samples=20)
    network = HalvesNet()
    with setting():
        found = level_within(network, HALVES_QUERY, 1, delta, rng=3, samples=20)
    assert (found.level, found.reached) == (expected.level, expected.reached)


def test_a_distance_that_no_level_keeps_is_told() -> None:
    with pytest.raises(
        ConfigError, match=r"no level .* within 0\.1 .*is level \d, where they stay within 0\.\d\d; choose"
    ):
        level_within(HalvesNet(), HALVES_QUERY, 1, 0.1, rng=3, samples=20)


def test_where_no_level_needs_a_unit_a_distance_says_so() -> None:
    # The last pixel hangs on nothing: no unit is needed for it, while all images differ by more.
    net = HalvesNet(backdrop=10.0)
    with pytest.raises(ConfigError, match="no level of this layer needs a unit"):
        level_within(Constant(net).eval(), HALVES_QUERY, 1, 0.01, rng=3, samples=20, focus=(4, 0, 5, 2))


@pytest.mark.parametrize("delta", [0.0, -1.0, math.nan, math.inf])
def test_a_distance_is_positive(delta: float) -> None:
    with pytest.raises(ConfigError, match="expected a positive relative distance"):
        level_within(HalvesNet(), HALVES_QUERY, 1, delta, rng=3)


def test_a_distance_that_everything_keeps_is_told() -> None:
    with pytest.raises(
        ConfigError, match=r"95 % of all images of the prior lie within .*nothing has to be held for 0\.2"
    ):
        level_within(HalvesNet(backdrop=10.0), HALVES_QUERY, 1, 0.2, rng=3, samples=20)


def test_levels_that_need_no_unit_are_passed_over() -> None:
    found = level_within(HalvesNet(backdrop=10.0), HALVES_QUERY, 1, 0.1, rng=3, samples=20)
    assert (found.level, list(found.reached)) == (6, [6])  # level 5 allows what nothing held has


def test_the_distance_is_asked_level_by_level(monkeypatch: pytest.MonkeyPatch) -> None:
    # Finer regions are nested, and yet their distances need not fall: no level between may be taken on trust.
    far = {1: 0.6, 2: 0.35, 3: 0.5, 4: 0.5, 5: 0.3, 6: 0.5, 7: 0.5, 8: 0.5}
    point, known = path._point, dict[int, PathPoint]()

    def told(problem: Problem, result: BerOptResult, level: int, *others: Any) -> PathPoint:
        if level not in known:  # it is the same whatever distance is asked for
            known[level] = point(problem, result, level, *others)
        found = known[level]
        assert found.facts is not None and found.run is not None and found.run.exact is not None
        distance = dataclasses.replace(found.facts.distance, q95=far[level])
        exact = dataclasses.replace(found.run.exact, status=NOT_CONVERGED if level == 1 else "CONVERGED")
        run = dataclasses.replace(found.run, samples={PRIOR: exact})
        return dataclasses.replace(found, run=run, facts=dataclasses.replace(found.facts, distance=distance))

    monkeypatch.setattr(path, "_point", told)

    def within(delta: float) -> Within:
        return level_within(HalvesNet(), HALVES_QUERY, 1, delta, rng=3, samples=20)

    assert within(0.4).level == 2
    found = within(0.34)
    assert found.level == 5
    assert found.reached == {level: far[level] for level in range(1, 6)}
    assert found.unconverged == (1,)
    assert "at level 1" in found.warnings[0]
    with pytest.raises(ConfigError, match=r"the nearest is level 5, where they stay within 0\.30"):
        within(0.2)
