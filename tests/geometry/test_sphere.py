# SPDX-License-Identifier: MIT
import math

import pytest
import torch
from torch import Tensor

from egbas.errors import ConfigError
from egbas.geometry import Sphere


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sphere(d: int, dtype: torch.dtype = torch.float64) -> Sphere:
    return Sphere(torch.randn(d, generator=seeded(d), dtype=torch.float64).to(dtype))


def tangents(on: Sphere, n: int) -> Tensor:
    return on.directions(torch.randn(n, on.query.numel(), generator=seeded(), dtype=torch.float64))


def test_lengths_on_a_sphere_of_radius_two() -> None:
    on = Sphere(torch.tensor([2.0, 0.0, 0.0]))
    assert on.radius == 2
    assert on.dimensions == 2
    assert on.limit(math.inf) == on.far(math.inf) == pytest.approx(2 * math.pi)
    assert on.limit(1.0) == on.far(1.0) == 1.0
    assert on.chord(2 * math.pi) == pytest.approx(4)  # the diameter
    assert on.chord(2 * math.pi / 3) == pytest.approx(2)  # the side of a hexagon
    assert on.reach(123.0) == pytest.approx(4 / math.sqrt(3))
    assert on.rounding(123.0, torch.float32) == 2 * torch.finfo(torch.float32).eps
    points = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [-2.0, 0.0, 0.0], [1.0, math.sqrt(3), 0.0]])
    expected = torch.tensor([0, math.pi, 2 * math.pi, 2 * math.pi / 3])
    torch.testing.assert_close(on.distances(points, on.query[None]), expected)
    assert on.description == "sphere of radius 2"


@pytest.mark.parametrize("length", [1e-6, 0.3, 2.0, 3.1])
def test_distances_keep_their_digits_near_and_far(length: float) -> None:
    on = sphere(5)
    length = length * on.radius
    there = on.around(length * tangents(on, 20))
    arcs, chords = on.distances(there, on.query[None]), (there - on.query).norm(dim=1)
    torch.testing.assert_close(arcs / length, torch.ones(20, dtype=torch.float64), rtol=1e-8, atol=0)
    torch.testing.assert_close(chords / on.chord(length), torch.ones(20, dtype=torch.float64), rtol=1e-8, atol=0)


@pytest.mark.parametrize("d", [2, 3, 64])
def test_the_exponential_map_follows_great_circles(d: int) -> None:
    on = sphere(d)
    directions = tangents(on, 10)
    torch.testing.assert_close(directions @ on.query, torch.zeros(10).double(), rtol=0, atol=1e-13)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(10).double())
    quarter = on.around(directions * math.pi / 2 * on.radius)
    torch.testing.assert_close(quarter, directions * on.radius)
    torch.testing.assert_close(on.around(directions * math.pi * on.radius), -on.query.expand(10, d))
    torch.testing.assert_close(on.around(directions * 0), on.query.expand(10, d))
    many = on.around(directions[None] * torch.tensor([0.1, 3.0])[:, None, None])  # (2, 10, d), of any shape
    assert torch.equal(many[1], on.around(directions * 3.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [2, 3, 512])
def test_a_step_has_its_length_lies_between_and_stays_on_the_sphere(d: int, dtype: torch.dtype) -> None:
    on, tiny = sphere(d, dtype), 20 * torch.finfo(dtype).eps
    origins, targets = (on.targets(50, math.inf, rng=seeded(seed)) for seed in (1, 2))
    length = on.radius / 4
    chords, whole = (origins - targets).norm(dim=1), on.distances(origins, targets)
    stepped = on.step(origins, targets, chords, length)
    assert (stepped.double().norm(dim=1) / on.radius - 1).abs().max() < tiny
    arcs = on.distances(origins, stepped)
    torch.testing.assert_close(arcs / length, torch.ones(50, dtype=dtype), rtol=10 * tiny, atol=0)
    rest = on.distances(stepped, targets)  # on the way: what is left is the whole less the step, or its excess
    torch.testing.assert_close(rest, (whole - length).abs(), rtol=0, atol=20 * tiny * on.radius)


@pytest.mark.parametrize("away", [1e-5, math.pi - 1e-5])
def test_a_step_has_its_length_where_its_direction_is_hard_to_tell(away: float) -> None:
    on = sphere(7, torch.float32)
    targets = on.around((away * on.radius * tangents(on, 30)).float())
    origins = on.query.expand(30, 7)
    stepped = on.step(origins, targets, (origins - targets).norm(dim=1), 0.1)
    torch.testing.assert_close(on.distances(origins, stepped), torch.full((30,), 0.1), rtol=1e-5, atol=0)


@pytest.mark.parametrize("d", [2, 3, 16, 512])
@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_targets_are_uniform_in_the_cap(d: int, share: float) -> None:
    """By distance as the points of the whole sphere that fall into the cap, and evenly around the query."""
    on, half_width = sphere(d), share * math.pi * sphere(d).radius
    drawn = on.targets(20_000, half_width, rng=seeded())
    torch.testing.assert_close(drawn.norm(dim=1), torch.full((20_000,), on.radius).double())
    away = on.distances(drawn, on.query[None])
    assert away.max() <= half_width * (1 + 1e-12)
    if d <= 16 and share >= 0.5:
        points = torch.randn(60_000, d, generator=seeded(1), dtype=torch.float64)
        reference = on.distances(on.radius * torch.nn.functional.normalize(points), on.query[None])
        reference = reference[reference <= half_width]
        # Kolmogorov-Smirnov: 1.95 sqrt(1/n + 1/m) is passed by one pair of samples in a thousand.
        bound = 1.95 * math.sqrt(1 / len(away) + 1 / len(reference))
        assert kolmogorov_smirnov(away, reference) < bound
    across = torch.nn.functional.normalize(drawn - (drawn @ on.query)[:, None] * on.query / on.radius**2)
    # Directions around the query: mean 0, and covariance 1 / (d - 1) in the tangent space; six standard errors.
    assert across.mean(dim=0).norm() < 6 / math.sqrt(20_000)
    axis = on.embed(torch.eye(d - 1, dtype=torch.float64)[:1])[0]
    assert (across @ axis).square().mean().item() == pytest.approx(1 / (d - 1), rel=6 * math.sqrt(2 / 20_000))


def kolmogorov_smirnov(a: Tensor, b: Tensor) -> float:
    points = torch.cat([a, b]).sort().values
    shares = [torch.searchsorted(sample.sort().values, points, right=True) / len(sample) for sample in (a, b)]
    return (shares[0] - shares[1]).abs().max().item()


@pytest.mark.parametrize("query", [[0.0, 0.0, 3.0], [0.0, 0.0, -3.0], [1.0, 0.0, 0.0], [0.1, -2.0, 0.5]])
def test_coordinates_are_orthonormal_in_the_tangent_space(query: list[float]) -> None:
    on = Sphere(torch.tensor(query, dtype=torch.float64))
    axes = on.embed(torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(axes @ axes.T, torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(axes @ on.query, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-14)


def test_the_mean_lies_on_the_sphere_between_the_points() -> None:
    on = Sphere(torch.tensor([0.0, 2.0]))
    points = 2 * torch.tensor([[math.cos(0.3), math.sin(0.3)], [math.cos(0.7), math.sin(0.7)]])
    torch.testing.assert_close(on.mean(points), 2 * torch.tensor([math.cos(0.5), math.sin(0.5)]))


@pytest.mark.parametrize(("query", "message"), [([0.0, 0.0], "query is zero"), ([1.0], "at least 2 coordinates")])
def test_where_there_is_no_sphere(query: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Sphere(torch.tensor(query))
