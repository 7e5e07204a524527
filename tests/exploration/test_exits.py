# SPDX-License-Identifier: MIT
import functools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.errors import ConfigError
from egbas.exploration.exits import Exit, Exits, _Look, nearest_exits
from egbas.exploration.result import Exploration
from egbas.geometry import Flat
from tests.problems import linear
from tests.regions import Box

# Two coordinates are an image of two pixels; three classes share the plane, each a third around a direction.
THIRDS = [[math.cos(angle), math.sin(angle)] for angle in (0.0, 2 * math.pi / 3, 4 * math.pi / 3)]
QUERY = torch.tensor([1.0, 0.1])


def thirds() -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]]), nn.Unflatten(1, (1, 1, 2)))
    return generator, nn.Sequential(nn.Flatten(), linear(THIRDS))


@functools.cache
def run_in_a_third() -> Exploration:
    generator, classifier = thirds()
    settings: dict[str, Any] = {"samples": 20, "max_evaluations": 3000, "gbrrt": egbas.GbRrtConfig(iterations=200)}
    return egbas.explore(generator, QUERY, classifier=classifier, region="class", rng=0, **settings)


@functools.cache
def exits_of_a_third() -> Exits:
    return nearest_exits(run_in_a_third())


def check(one: Exit, run: Exploration) -> None:
    """Inside up to the exit, outside at it, in float64, and at the distances that are told."""
    decision = run.decision
    assert decision is not None
    logits = one.way @ torch.tensor(THIRDS).double().T
    assert logits.argmax(dim=1).tolist()[:-1] == [decision.target_class] * 10
    assert one.margin < 0 <= one.margin_before and abs(one.margin) < 1e-9
    assert int(decision.classes(one.latent[None])[0]) == one.next_class != decision.target_class
    assert one.distance == pytest.approx(float((one.latent - run.query.double()).norm()))
    assert one.image_distance == pytest.approx(one.distance / float(run.query.norm()), rel=1e-5)


def test_the_nearest_exit_of_a_third_is_the_foot_on_its_wall() -> None:
    run = run_in_a_third()
    found = exits_of_a_third()
    normal = torch.tensor(THIRDS[0]).double() - torch.tensor(THIRDS[1]).double()
    distance = float(QUERY.double() @ normal / normal.norm())
    assert found.target_class == 0 and set(found.routes) == {"gradient", "tree", "chains"}
    assert found.nearest.route == "gradient" and found.nearest.distance == pytest.approx(distance, rel=1e-6)
    for one in (*found.routes.values(), *found.classes):
        check(one, run)
    assert [one.next_class for one in found.classes] == [1, 2]  # the nearest first
    assert found.classes[1].distance > distance and found.kept is None


def test_the_way_back_leads_to_where_it_came_from() -> None:
    found = exits_of_a_third()
    back = found.back
    assert back is not None and back.next_class == 0
    assert back.distance == pytest.approx(0.1 * found.nearest.distance, rel=1e-4)
    assert back.margin < 0 <= back.margin_before


def test_kept_units_that_flip_on_the_way_out() -> None:
    """Two ReLUs hold the two pixels; on the way out of x > y only what the line crosses flips."""
    generator = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]], [0.0, -0.1]), nn.ReLU(), nn.Unflatten(1, (1, 1, 2)))
    classifier = nn.Sequential(nn.Flatten(), linear([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.5]))
    z0 = torch.tensor([1.0, 0.3])
    run = egbas.explore(generator, z0, 1, classifier=classifier, region="class", hold="image", samples=0, rng=0)
    assert run.support.beropt.units.tolist() == [0, 1] and run.decision is not None and run.decision.target_class == 0
    assert run.config()["class"] == 0 and run.config()["hold"] is None
    found = nearest_exits(run)
    assert found.kept == 2 and found.nearest.flipped is not None and found.nearest.next_class == 1
    h = torch.tensor([found.nearest.latent[0], found.nearest.latent[1] - 0.1])
    assert found.nearest.flipped.tolist() == (h < 0).nonzero()[:, 0].tolist()


def test_exits_of_a_layer_have_no_class() -> None:
    generator = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]]), nn.ReLU(), nn.Unflatten(1, (1, 1, 2)))
    run = egbas.explore(generator, torch.tensor([1.0, 0.5]), 1, samples=0, rng=0)
    found = nearest_exits(run)
    assert found.target_class is None and found.back is None and found.classes == ()
    assert found.nearest.distance == pytest.approx(0.5, rel=1e-6) and found.nearest.flipped is not None
    assert found.nearest.flipped.tolist() == [1]


def test_regions_of_ones_own_tell_no_margins() -> None:
    generator = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]]), nn.Unflatten(1, (1, 1, 2)))
    run = egbas.explore(generator, torch.zeros(2), region=Box(1.0), samples=0, rng=0)
    with pytest.raises(ConfigError, match=r"user's own \(Box\), which tells no margins"):
        nearest_exits(run)


def test_a_region_without_an_end_has_no_exit() -> None:
    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            square = x.flatten(1).square().sum(dim=1, keepdim=True)
            return torch.cat([1.0 + square, -square], dim=1)

    generator, _ = thirds()
    run = egbas.explore(generator, QUERY, classifier=Always(), region="class", samples=0, rng=0)
    with pytest.raises(ConfigError, match="no way out of the region was found"):
        nearest_exits(run)


def test_progress_is_told() -> None:
    seen: list[tuple[int, int]] = []
    nearest_exits(run_in_a_third(), progress=lambda done, total, text: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_on_a_sphere_exits_lie_on_it_along_great_circles() -> None:
    """G(z) = z / |z| ignores a latent's length: the exit is where the angle to the wall's plane is smallest."""

    class Directions(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return nn.functional.normalize(z).reshape(-1, 1, 1, 3)

    axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    z0 = torch.tensor([2.0, 1.0, 0.5])
    settings: dict[str, Any] = {"samples": 20, "max_evaluations": 3000, "gbrrt": egbas.GbRrtConfig(iterations=200)}
    classifier = nn.Sequential(nn.Flatten(), linear(axes))
    run = egbas.explore(Directions(), z0, classifier=classifier, region="class", rng=0, geometry="sphere", **settings)
    found, radius = nearest_exits(run), float(z0.double().norm())
    normal = (torch.tensor(axes[0]) - torch.tensor(axes[1])).double()
    expected = radius * math.asin(float(z0.double() @ normal / normal.norm()) / radius)
    assert found.nearest.next_class == 1 and found.nearest.distance == pytest.approx(expected, rel=1e-5)
    for one in found.routes.values():
        assert one.is_on_sphere and one.margin < 0 <= one.margin_before
        torch.testing.assert_close(one.way.norm(dim=1), torch.full((11,), radius, dtype=torch.float64))
        torch.testing.assert_close(one.way[-1], one.latent)
        assert bool((one.way.argmax(dim=1)[:-1] == 0).all()) and int(one.latent.argmax()) != 0
    assert found.back is not None and found.back.next_class == 0 and found.back.is_on_sphere


def test_an_exit_is_outside_also_when_it_is_asked_about_alone() -> None:
    """A region whose margin is rounded another way in a batch than alone."""
    run = run_in_a_third()
    decision = run.decision
    assert decision is not None

    class Rounded:
        def margin(self, z: Tensor) -> Tensor:
            return decision.margin(z) + (1e-13 if len(z) == 1 else 0.0)

    look = _Look(run, decision)
    look.region = Rounded()  # type: ignore[assignment]
    z0, first = run.query.double(), exits_of_a_third().nearest
    space, offset = Flat(z0), first.latent - z0
    assert float(look._margins((z0 + offset)[None])[0]) >= 0
    beyond, margin = look._beyond(space, offset)
    assert float(look._margins((z0 + beyond)[None])[0]) == margin < 0
    assert float(beyond.norm()) == pytest.approx(float(offset.norm()), rel=1e-10)
