# SPDX-License-Identifier: MIT
import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from egbas.errors import ConfigError
from egbas.evaluation import baselines
from egbas.evaluation.baselines import (
    BaselineSamples,
    e_gbas,
    epsilon_l2,
    epsilon_linf,
    l2_ball,
    linf_ball,
    radius_matched,
)
from egbas.exploration.result import Exploration
from egbas.geometry import Sphere
from egbas.latent import LatentSpace
from egbas.samplers.gbrrt import OUTSIDE, TOO_CLOSE
from tests.runs import colour_run, plane_run, sphere_run


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def run_of(latents: Tensor, rejected: Tensor, reasons: list[int], geometry: str = "flat") -> Exploration:
    """An exploration with these samples and rejected candidates; the query is the first sample."""
    run = plane_run()
    tree = dataclasses.replace(
        run.tree,
        latents=latents,
        parents=torch.arange(-1, len(latents) - 1),
        rejected=rejected,
        rejected_reason=torch.tensor(reasons, dtype=torch.int8),
    )
    latent = LatentSpace(shape=(latents.shape[1],), geometry=geometry)  # type: ignore[arg-type]
    return dataclasses.replace(run, query=latents[0], samples={"tree": tree}, latent=latent)


def many(d: int, n: int = 20_000) -> Exploration:
    """n samples beside a query at (3, 3, ...), a border that gives the radius 2 around their mean, the query."""
    query = torch.full((1, d), 3.0)
    border = query.clone()
    border[0, 0] += 2
    return run_of(query.expand(n + 1, d).clone(), border, [OUTSIDE])


def test_radius_by_hand() -> None:
    accepted = torch.tensor([[0.0, 0.0], [2.0, 0.0]])  # mean (1, 0)
    rejected = torch.tensor([[1.0, 1.0], [4.0, 4.0], [1.0, 0.1]])  # 1, 5 and 0.1 away
    run = run_of(accepted, rejected, [OUTSIDE, OUTSIDE, TOO_CLOSE])
    assert epsilon_l2(run) == pytest.approx(3.0)


def test_without_a_border_there_is_no_ball() -> None:
    run = run_of(torch.zeros(3, 2), torch.ones(1, 2), [TOO_CLOSE])
    assert not baselines.has_border(run)
    for ball in (l2_ball, linf_ball):
        with pytest.raises(ConfigError, match="raise the half-width"):
            ball(run, rng=seeded())
    assert len(radius_matched(run, rng=seeded()).latents) == 2


def test_without_samples_there_is_nothing_to_compare() -> None:
    with pytest.raises(ConfigError, match="lower its step size"):
        e_gbas(run_of(torch.zeros(1, 2), torch.ones(1, 2), [OUTSIDE]))


@pytest.mark.parametrize(
    ("d", "volume"), [(1, 2.0), (2, math.pi), (3, 4 * math.pi / 3), (4, math.pi**2 / 2), (5, 8 * math.pi**2 / 15)]
)
def test_cube_has_the_volume_of_the_ball(d: int, volume: float) -> None:
    for epsilon in (0.1, 1.0, 7.0):
        assert (2 * epsilon_linf(epsilon, d)) ** d == pytest.approx(volume * epsilon**d)


@pytest.mark.parametrize("d", [512, 100_000])
def test_cube_in_many_dimensions(d: int) -> None:
    # Stirling: the unit ball's volume is (2 pi e / d)^(d/2) / sqrt(pi d) up to 1 + O(1/d).
    stirling = math.sqrt(2 * math.pi * math.e / d) * (math.pi * d) ** (-1 / (2 * d)) / 2
    assert epsilon_linf(1.0, d) == pytest.approx(stirling, rel=1e-5)


@pytest.mark.parametrize("d", [1, 2, 8, 64])
def test_ball_is_uniform(d: int) -> None:
    drawn = l2_ball(many(d), rng=seeded())
    assert drawn.epsilon == pytest.approx(2.0)
    offsets = drawn.latents.double() - 3
    radii = offsets.norm(dim=1) / 2
    assert radii.max() <= 1 + 1e-6
    # (r / eps)^d is uniform, and each coordinate has the variance eps^2 / (d + 2); 20,000 draws: 5 sigma is 0.011.
    assert (radii**d).mean().item() == pytest.approx(0.5, abs=0.011)
    assert (radii**d).std().item() == pytest.approx(math.sqrt(1 / 12), abs=0.01)
    assert offsets.square().mean().item() == pytest.approx(4 / (d + 2), rel=0.04)
    assert offsets.mean(0).abs().max().item() < 6 * 2 / math.sqrt((d + 2) * 20_000)


def test_cube_is_uniform() -> None:
    drawn = linf_ball(many(3), rng=seeded())
    half = epsilon_linf(2.0, 3)
    assert drawn.epsilon == pytest.approx(half)
    offsets = drawn.latents.double() - 3
    assert offsets.abs().max() <= half * (1 + 1e-6)
    assert offsets.std(0).tolist() == pytest.approx([half / math.sqrt(3)] * 3, rel=0.03)
    assert torch.corrcoef(offsets.T).triu(1).abs().max() < 0.04


def test_each_radius_is_kept() -> None:
    run = colour_run()
    drawn = radius_matched(run, rng=seeded())
    there = (e_gbas(run).latents - run.query).norm(dim=1)
    assert torch.allclose((drawn.latents - run.query).norm(dim=1), there, rtol=1e-5)
    assert not torch.allclose(drawn.latents, e_gbas(run).latents)


def many_on_a_sphere(d: int, angle: float, n: int = 20_000) -> Exploration:
    """n samples at a query on a sphere of radius 5, and a border at an angle from it."""
    query = 5 * torch.nn.functional.normalize(torch.arange(1.0, d + 1)[None])
    border = Sphere(query[0]).around(5 * angle * Sphere(query[0]).directions(torch.eye(1, d)))
    return run_of(query.expand(n + 1, d).clone(), border, [OUTSIDE], geometry="sphere")


def test_radius_on_a_sphere_by_hand() -> None:
    def at(degrees: list[float]) -> Tensor:
        angles = torch.tensor(degrees) * math.pi / 180
        return 2 * torch.stack([torch.cos(angles), torch.sin(angles)], dim=1)

    run = run_of(at([0.0, 40.0]), at([-30.0, 110.0, 20.0]), [OUTSIDE, OUTSIDE, TOO_CLOSE], geometry="sphere")
    # The mean lies at 20 degrees, 50 and 90 degrees from the border.
    assert epsilon_l2(run) == pytest.approx(70 * math.pi / 180 * 2)


@pytest.mark.parametrize("angle", [0.5, 2.0])
def test_ball_on_a_sphere_is_a_uniform_cap(angle: float) -> None:
    run = many_on_a_sphere(3, angle)
    drawn = l2_ball(run, rng=seeded())
    assert drawn.epsilon == pytest.approx(5 * angle)
    torch.testing.assert_close(drawn.latents.norm(dim=1), torch.full((20_000,), 5.0))
    heights = (drawn.latents.double() @ run.query.double()) / 25  # uniform between the rim's and 1 (Archimedes)
    share = (heights - math.cos(angle)) / (1 - math.cos(angle))
    assert share.min() > -1e-6
    assert share.mean().item() == pytest.approx(0.5, abs=0.011)  # five standard errors of 20,000 draws
    assert share.std().item() == pytest.approx(math.sqrt(1 / 12), abs=0.01)


@pytest.mark.parametrize("d", [64, 512])
def test_ball_on_a_sphere_in_many_dimensions(d: int) -> None:
    run = many_on_a_sphere(d, 0.5, n=2000)
    away = run.geometry.distances(l2_ball(run, rng=seeded()).latents.double(), run.query.double()[None]) / 5
    assert away.max() <= 0.5 + 1e-5
    # Near the rim the density grows as exp((d - 2) t / tan(0.5)): the mean gap to the rim is its inverse rate.
    assert (0.5 - away).mean().item() == pytest.approx(math.tan(0.5) / (d - 2), rel=0.1)


def test_cube_on_a_sphere_is_the_exponential_map_of_a_uniform_cube() -> None:
    run = many_on_a_sphere(3, 0.5)
    drawn, on = linf_ball(run, rng=seeded()), run.geometry
    assert drawn.epsilon == pytest.approx(epsilon_linf(2.5, 2))  # two dimensions: the area of the circle in the plane
    torch.testing.assert_close(drawn.latents.norm(dim=1), torch.full((20_000,), 5.0))
    # Back by the logarithm: direction across the query, as long as the arc.
    z, query = drawn.latents.double(), run.query.double()
    across = torch.nn.functional.normalize(z - (z @ query)[:, None] * query / 25)
    offsets = on.distances(z, query[None])[:, None] * across
    coordinates = offsets @ on.embed(torch.eye(2, dtype=torch.float64)).T
    assert coordinates.abs().max().item() == pytest.approx(drawn.epsilon, rel=1e-3)
    assert coordinates.std(0).tolist() == pytest.approx([drawn.epsilon / math.sqrt(3)] * 2, rel=0.03)
    assert torch.corrcoef(coordinates.T)[0, 1].abs() < 0.04


def test_each_distance_is_kept_on_a_sphere() -> None:
    run = sphere_run()
    drawn = radius_matched(run, rng=seeded()).latents
    there = run.geometry.distances(e_gbas(run).latents, run.query[None])
    torch.testing.assert_close(run.geometry.distances(drawn, run.query[None]), there, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(drawn.norm(dim=1), run.query.norm().expand(len(drawn)))
    assert not torch.allclose(drawn, e_gbas(run).latents)


@pytest.mark.parametrize("draw", [l2_ball, linf_ball, radius_matched])
def test_as_many_as_explored_and_repeatable(draw: Callable[..., BaselineSamples]) -> None:
    run = colour_run()
    first, again, other = (draw(run, rng=seeded(seed)).latents for seed in (1, 1, 2))
    assert first.shape == e_gbas(run).latents.shape == (len(run.latents) - 1, 5)
    assert first.dtype == run.latents.dtype
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_samples_are_not_clipped_but_counted() -> None:
    run = dataclasses.replace(many(2), latent=LatentSpace(shape=(2,), prior="uniform", bound=3.0))
    drawn = l2_ball(run, rng=seeded())
    outside = int((drawn.latents > 3).any(dim=1).sum())
    assert drawn.latents.max() > 4.5
    assert drawn.left_support == outside
    assert outside / len(drawn.latents) == pytest.approx(0.75, abs=0.02)  # three of the ball's four quadrants
    assert l2_ball(many(2), rng=seeded()).left_support == 0
