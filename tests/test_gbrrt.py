# SPDX-License-Identifier: MIT
"""GB-RRT against a literal, one-step-at-a-time Algorithm 2, and the properties that every tree has."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from egbas.errors import ConfigError
from egbas.geometry import Flat
from egbas.gbrrt import OUTSIDE, TOO_CLOSE, GbRrtConfig, GbRrtStatus, Growth, Tree, exit_distances, grow, with_automatic


class Box:
    """The region |z_i| <= half in every coordinate; counts the latents it was asked for."""

    def __init__(self, half: float) -> None:
        self.half, self.n_tested = half, 0

    def contains(self, z: Tensor) -> Tensor:
        self.n_tested += len(z)
        return (z.abs() <= self.half).all(dim=1)


class Polytope:
    """The region A z <= 1 for a drawn A: a random convex polytope around the origin."""

    def __init__(self, d: int, seed: int, n_faces: int = 12) -> None:
        self.faces = torch.randn(n_faces, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def contains(self, z: Tensor) -> Tensor:
        # Row by row: a matrix product may round differently for other numbers of rows.
        return torch.stack(
            [bool(((self.faces * row.double()).sum(1) <= 1).all()) * torch.tensor(1) for row in z]
        ).bool()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def literal(z0: Tensor, region: Polytope | Box, config: GbRrtConfig, seed: int) -> Tree:
    """Algorithm 2, line by line, one candidate at a time, in NumPy."""
    assert config.step_size is not None and config.half_width is not None
    start = z0.numpy()
    draws = rng(seed)
    n_blocks = -(-config.iterations // 256)
    uniform = torch.cat([torch.rand(256, len(z0), generator=draws, dtype=torch.float64) for _ in range(n_blocks)])
    nodes, parents, rejected, reasons = [start], [-1], [], []
    for target in start + config.half_width * (2 * uniform.numpy() - 1)[: config.iterations]:
        gaps = [np.sqrt(((target - node) ** 2).sum()) for node in nodes]
        parent = int(np.argmin(gaps))
        candidate = nodes[parent] + config.step_size / gaps[parent] * (target - nodes[parent])
        others = [np.sqrt(((candidate - q) ** 2).sum()) for i, q in enumerate(nodes) if i != parent]
        if others and min(others) < config.step_size:
            rejected.append(candidate)
            reasons.append(TOO_CLOSE)
        elif bool(region.contains(torch.from_numpy(candidate)[None])):
            nodes.append(candidate)
            parents.append(parent)
        else:
            rejected.append(candidate)
            reasons.append(OUTSIDE)
    return Tree(
        latents=torch.from_numpy(np.array(nodes)),
        parents=torch.tensor(parents),
        rejected=torch.from_numpy(np.array(rejected).reshape(-1, len(start))),
        rejected_reason=torch.tensor(reasons, dtype=torch.int8),
        evaluations=0,
        rounds=0,
        step_size=config.step_size,
        half_width=config.half_width,
        status=GbRrtStatus.COMPLETED,
    )


def assert_same(a: Tree, b: Tree, tolerance: float = 0.0) -> None:
    assert torch.equal(a.parents, b.parents)
    assert torch.equal(a.rejected_reason, b.rejected_reason)
    torch.testing.assert_close(a.latents, b.latents, rtol=0, atol=tolerance)
    torch.testing.assert_close(a.rejected, b.rejected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("window", [1, 7, 32, None])
@pytest.mark.parametrize(("d", "step_size"), [(1, 0.02), (2, 0.05), (5, 0.2), (64, 0.1)])
def test_batched_equals_the_literal_algorithm(d: int, step_size: float, window: int | None) -> None:
    z0 = torch.zeros(d, dtype=torch.float64)
    config = GbRrtConfig(iterations=400, step_size=step_size, half_width=1.0, window=window)
    tree = grow(z0, Polytope(d, seed=d), config, rng=rng(3))
    reference = literal(z0, Polytope(d, seed=d), config, seed=3)
    assert len(tree.latents) > 10
    assert len(tree.rejected) > 10
    assert_same(tree, reference, tolerance=1e-12)  # NumPy sums in another order than torch.cdist


@settings(max_examples=25, deadline=None)
@given(
    d=st.integers(1, 6),
    seed=st.integers(0, 10_000),
    step_size=st.floats(0.02, 0.6),
    half_width=st.floats(0.2, 3.0),
    iterations=st.integers(1, 150),
)
def test_every_window_gives_the_same_tree(
    d: int, seed: int, step_size: float, half_width: float, iterations: int
) -> None:
    z0 = torch.zeros(d, dtype=torch.float64)
    config = GbRrtConfig(iterations=iterations, step_size=step_size, half_width=half_width, window=1)
    one = grow(z0, Polytope(d, seed), config, rng=rng(seed))
    for window in (7, 32, None):
        other = grow(z0, Polytope(d, seed), dataclasses.replace(config, window=window), rng=rng(seed))
        assert_same(one, other)


@settings(max_examples=25, deadline=None)
@given(d=st.integers(1, 8), seed=st.integers(0, 10_000), step_size=st.floats(0.02, 0.5))
def test_properties_of_every_tree(d: int, seed: int, step_size: float) -> None:
    z0 = torch.full((d,), 0.1)
    region = Polytope(d, seed)
    if not bool(region.contains(z0[None])):
        z0 = torch.zeros(d)
    iterations = 200
    tree = grow(z0, region, GbRrtConfig(iterations=iterations, step_size=step_size, half_width=1.0), rng=rng(seed))
    n = len(tree.latents)
    assert torch.equal(tree.latents[0], z0)
    assert tree.parents[0] == -1
    assert n - 1 + len(tree.rejected) == iterations
    assert region.contains(tree.latents).all()
    assert (tree.parents[1:] < torch.arange(1, n)).all()
    assert (tree.parents[1:] >= 0).all()
    edges = (tree.latents[1:] - tree.latents[tree.parents[1:]]).norm(dim=1)
    torch.testing.assert_close(edges, torch.full_like(edges, step_size), rtol=1e-5, atol=1e-6)
    gaps = torch.cdist(tree.latents.double(), tree.latents.double())
    gaps.fill_diagonal_(torch.inf)
    for child, parent in enumerate(tree.parents.tolist()):
        if parent >= 0:  # spacing holds against every node but the parent, which was there before the child
            gaps[child, parent] = gaps[parent, child] = torch.inf
    assert gaps.min() >= step_size * (1 - 1e-5)
    outside = tree.rejected[tree.rejected_reason == OUTSIDE]
    assert not region.contains(outside).any() if len(outside) else True


def test_the_same_seed_gives_the_same_tree_and_another_seed_another() -> None:
    config = GbRrtConfig(iterations=100, step_size=0.1, half_width=1.0)
    first, second, other = (grow(torch.zeros(3), Box(0.5), config, rng=rng(seed)) for seed in (1, 1, 2))
    assert_same(first, second)
    assert not torch.equal(first.latents[1], other.latents[1])


def test_a_window_saves_forward_passes_and_wastes_few_tests() -> None:
    z0, config = torch.zeros(64), GbRrtConfig(iterations=1000, step_size=0.5, half_width=2.0)
    region = Box(0.5)
    tree = grow(z0, region, config, rng=rng())
    assert tree.evaluations == region.n_tested
    assert tree.rounds < 1000 / 4
    # 2 to 20 % more tests than iterations were measured in 64 dimensions; the bound leaves room for other seeds.
    assert tree.evaluations < 1.5 * 1000


def test_a_growth_ends_however_its_window_changes() -> None:
    # A narrowed window once asked for a negative number of targets and put decided ones back.
    growth = Growth(torch.zeros(2), GbRrtConfig(iterations=300, step_size=0.02, half_width=1.0), rng=rng())
    for _ in range(1000):
        if growth.is_done:
            break
        candidates = growth.propose()
        growth.commit(Box(0.5).contains(candidates) if len(candidates) else None)
    assert growth.n_done == 300


def test_nothing_accepted_is_a_status() -> None:
    tree = grow(torch.zeros(2), Box(0.01), GbRrtConfig(iterations=50, step_size=0.1, half_width=1.0), rng=rng())
    assert tree.status is GbRrtStatus.NOTHING_ACCEPTED
    assert len(tree.latents) == 1
    assert tree.rejected_reason.tolist() == [OUTSIDE] * 50
    assert tree.acceptance == 0


def test_targets_are_uniform_in_the_box() -> None:
    from egbas.gbrrt.targets import Targets

    z0 = torch.tensor([5.0, -3.0], dtype=torch.float64)
    targets = Targets(Flat(z0), 2.0, 20_000, rng=rng())
    drawn = torch.cat([targets.draw(n) for n in (1, 999, 19_000)]) - z0
    assert drawn.abs().max() <= 2.0
    # Mean and variance of U(-2, 2) are 0 and 4/3; five standard errors of 20,000 draws.
    assert drawn.mean().abs() < 5 * (4 / 3 / 40_000) ** 0.5
    assert abs(drawn.var().item() - 4 / 3) < 0.05
    assert len(targets.draw(10)) == 0


class Ball:
    """The region |z| <= 0.4."""

    def contains(self, z: Tensor) -> Tensor:
        return z.norm(dim=1) <= 0.4


@pytest.mark.parametrize("d", [1, 2, 16])
def test_automatic_settings_follow_the_region(d: int) -> None:
    config = with_automatic(GbRrtConfig(iterations=100), torch.zeros(d), Ball(), largest_half_width=10.0)
    assert config.step_size == pytest.approx(0.4 / (1 + 100 ** (1 / d)), rel=0.1)
    assert config.half_width == pytest.approx(0.4, rel=0.1)


def test_automatic_settings_where_the_region_has_no_end() -> None:
    config = with_automatic(GbRrtConfig(iterations=1000), torch.zeros(3), Box(1e9), largest_half_width=1.0)
    assert config.step_size == pytest.approx(1.0 / 11, rel=1e-5)  # r is I sqrt(d / 3) = 1
    assert config.half_width == 1.0


def test_given_settings_stay() -> None:
    config = GbRrtConfig(step_size=0.1, half_width=3.0)
    assert with_automatic(config, torch.zeros(2), Ball(), largest_half_width=1.0) is config
    half = with_automatic(GbRrtConfig(step_size=0.1), torch.zeros(2), Ball(), largest_half_width=1.0)
    assert half.step_size == 0.1
    assert half.half_width == pytest.approx(0.4, rel=0.1)


def test_exit_distances_of_a_box() -> None:
    exits = exit_distances(Box(0.5), torch.tensor([0.1, 0.0]), far=8.0)
    assert 0.38 < exits.min()
    assert exits.max() < (0.6**2 + 0.5**2) ** 0.5 * 1.1


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


def test_growth_needs_a_step_size_and_a_half_width() -> None:
    with pytest.raises(ConfigError, match="step_size"):
        grow(torch.zeros(2), Box(1.0), GbRrtConfig(half_width=1.0), rng=rng())


def test_a_step_below_the_rounding_of_the_latents_is_refused() -> None:
    with pytest.raises(ConfigError, match="rounding"):
        grow(torch.zeros(2), Box(1.0), GbRrtConfig(step_size=1e-6, half_width=1.0), rng=rng())
    fine = GbRrtConfig(step_size=1e-6, half_width=1.0, iterations=5)
    assert len(grow(torch.zeros(2, dtype=torch.float64), Box(1.0), fine, rng=rng()).latents) > 1
