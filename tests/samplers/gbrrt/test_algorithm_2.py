# SPDX-License-Identifier: MIT
"""The literal Algorithm 2 where its tree is known by hand, and its steps on a sphere by another formula."""

import math

import pytest
import torch
from torch import Tensor

from egbas.errors import ConfigError
from egbas.geometry import Sphere
from egbas.samplers.gbrrt import OUTSIDE, TOO_CLOSE, GbRrtConfig, GbRrtStatus
from egbas.samplers.gbrrt.algorithm_2 import grow_literally, is_spaced, nearest
from tests.regions import Box, Polytope, on_sphere, rng


class Given:
    """Targets that are written out."""

    def __init__(self, targets: list[list[float]]) -> None:
        self.rows = torch.tensor(targets, dtype=torch.float64)

    def draw(self, n: int) -> Tensor:
        drawn, self.rows = self.rows[:n], self.rows[n:]
        return drawn


def test_a_tree_that_is_known_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [
        [0.0, 5.0],  # (0, 0.5) is added
        [0.0, 6.0],  # (0, 1), too
        [0.1, 0.1],  # (0.354, 0.354) is 0.38 from (0, 0.5)
        [0.0, 7.0],  # (0, 1.5) is outside
        [0.0, 1.0],  # a node itself
        [-0.1, 0.0],  # (-0.5, 0) is added
    ]
    monkeypatch.setattr("egbas.samplers.gbrrt.algorithm_2.Targets", lambda *_, **__: Given(targets))
    region = Box(1.2)
    config = GbRrtConfig(iterations=6, step_size=0.5, half_width=1.0)
    tree = grow_literally(torch.zeros(2, dtype=torch.float64), region, config, rng=rng())
    assert tree.latents.tolist() == [[0, 0], [0, 0.5], [0, 1], [-0.5, 0]]
    assert tree.parents.tolist() == [-1, 0, 1, 0]
    assert tree.rejected_reason.tolist() == [TOO_CLOSE, OUTSIDE, TOO_CLOSE]
    corner = math.sqrt(0.125)
    expected = torch.tensor([[corner, corner], [0.0, 1.5], [0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(tree.rejected, expected)
    assert (tree.evaluations, tree.rounds, region.n_tested) == (4, 4, 4)  # what is too close is not tested
    assert (tree.status, tree.iterations) == (GbRrtStatus.COMPLETED, 6)


def test_the_first_of_equally_near_nodes() -> None:
    tree = torch.tensor([[9.0], [1.0], [-1.0]])
    parent, gap = nearest(tree, torch.zeros(1, 1))
    assert (parent, gap.tolist()) == (1, [1.0])


def test_spacing_is_to_every_node_but_the_parent() -> None:
    tree = torch.tensor([[0.0], [1.0]])
    assert is_spaced(tree, torch.tensor([[0.5]]), 0, 0.5)
    assert not is_spaced(tree, torch.tensor([[0.51]]), 0, 0.5)
    assert is_spaced(tree[:1], torch.tensor([[0.01]]), 0, 0.5)
    assert not is_spaced(tree[:1], tree[:1], 0, 0.5)  # the parent itself


def test_steps_on_a_sphere_are_those_of_spherical_interpolation() -> None:
    z0 = on_sphere(5)
    config = GbRrtConfig(iterations=150, step_size=0.2, half_width=3.0)
    tree = grow_literally(z0, Polytope(5, seed=5, centre=z0), config, rng=rng(3), geometry=Sphere(z0))
    reach, n_added, n_rejected = 0.2 / 2.0, 1, 0
    outcomes = sorted_outcomes(z0, config, tree.latents, tree.parents, tree.rejected)
    assert len(outcomes) == 150
    for target, candidate, is_node in outcomes:
        nodes = tree.latents[:n_added]
        angles = 2 * torch.atan2((nodes - target).norm(dim=1), (nodes + target).norm(dim=1))
        parent, whole = int(angles.argmin()), angles.min()
        expected = (torch.sin(whole - reach) * nodes[parent] + math.sin(reach) * target) / torch.sin(whole)
        torch.testing.assert_close(candidate, expected, rtol=0, atol=1e-10)
        if is_node:
            assert tree.parents[n_added] == parent
        n_added, n_rejected = n_added + is_node, n_rejected + (not is_node)
    assert (n_added, n_rejected) == (len(tree.latents), len(tree.rejected))
    assert n_added > 10
    assert n_rejected > 10


def sorted_outcomes(
    z0: Tensor, config: GbRrtConfig, latents: Tensor, parents: Tensor, rejected: Tensor
) -> list[tuple[Tensor, Tensor, bool]]:
    """For each target its candidate, and whether that was added: the target lies on from the parent beyond it."""
    targets = Sphere(z0).targets(256, config.half_width or 0.0, rng=rng(3))[: config.iterations]
    added, refused, found = list(latents[1:]), list(rejected), []
    n_added = 1
    for target in targets:
        nodes = latents[:n_added]
        parent = nodes[(nodes - target).norm(dim=1).argmin()]
        is_node = bool(added) and is_between(parent, added[0], target)
        found.append((target, (added if is_node else refused).pop(0), is_node))
        n_added += is_node
    return found


def is_between(parent: Tensor, candidate: Tensor, target: Tensor) -> bool:
    """Whether the candidate lies in the plane of the other two."""
    basis, _ = torch.linalg.qr(torch.stack([parent, target], dim=1))
    return float((candidate - basis @ (basis.T @ candidate)).norm()) < 1e-9


def test_what_grow_refuses_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a step_size and a half_width"):
        grow_literally(torch.zeros(2), Box(1.0), GbRrtConfig(half_width=1.0), rng=rng())


def test_nothing_accepted_is_a_status() -> None:
    config = GbRrtConfig(iterations=20, step_size=0.1, half_width=1.0)
    tree = grow_literally(torch.zeros(2), Box(0.01), config, rng=rng())
    assert tree.status is GbRrtStatus.NOTHING_ACCEPTED
    assert (len(tree.latents), tree.rejected_reason.tolist(), tree.rejected.shape) == (1, [OUTSIDE] * 20, (20, 2))
