# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest
import torch

from egbas.geometry import Flat, Geometry, Sphere
from egbas.samplers.gbrrt.nearest.search import NearestNodes
from egbas.samplers.gbrrt.window import INSIDE, UNKNOWN, Nodes, Stride, Window, admit, move, steer


def tree_of(latents: torch.Tensor) -> Nodes:
    """A tree of these nodes, with room for ten more."""
    nodes, n = Nodes.empty(len(latents) + 10, latents[0].numpy()), len(latents)
    nodes.latents[:n], nodes.squares[:n] = latents.numpy(), latents.square().sum(1).numpy()
    nodes.parents[:n], nodes.iterations[:n] = np.arange(n) - 1, np.arange(n) - 1
    return nodes


def window(geometry: Geometry, latents: torch.Tensor, targets: list[list[float]], length: float) -> Window:
    """The window of a tree of these nodes, with these targets pending."""
    nodes, new = tree_of(latents), torch.tensor(targets).numpy()
    pending = Window.empty(len(new), latents[0].numpy())
    stride, n = Stride.of(geometry, length), len(latents)
    admit(pending, 0, new, n, *NearestNodes(nodes)(new, n), nodes, n, stride)
    return pending


def waiting(pending: Window) -> list[bool]:
    return (pending.is_free & (pending.verdicts == UNKNOWN)).tolist()


def test_candidates_wait_only_where_the_place_is_free() -> None:
    nodes = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    pending = window(Flat(nodes[0]), nodes, [[0.0, 5.0], [0.4, 0.0], [1.0, 0.0], [0.9, 0.0]], 0.5)
    assert pending.nearest.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(pending.candidates, [[0.0, 0.5], [0.5, 0.0], [1.0, 0.0], [0.5, 0.0]])
    # The second and the last lie at exactly one step from the other node, which is enough; the third is a node itself.
    assert waiting(pending) == [True, True, False, True]
    assert pending.iterations.tolist() == [2, 3, 4, 5]


def test_a_candidate_beyond_its_target_may_be_too_close() -> None:
    nodes = torch.tensor([[0.0, 0.0], [0.8, 0.0]])
    pending = window(Flat(nodes[0]), nodes, [[0.3, 0.0]], 0.5)
    assert pending.candidates.tolist() == [[0.5, 0.0]]
    assert waiting(pending) == [False]  # 0.3 from the other node


def test_nodes_of_later_targets_do_not_crowd_an_earlier_one() -> None:
    nodes = torch.tensor([[0.0, 0.0], [0.8, 0.0]])
    pending, tree = window(Flat(nodes[0]), nodes, [[0.3, 0.0]], 0.5), tree_of(nodes)
    tree.iterations[1] = 7  # committed before the target of number 2, which it comes after
    steer(pending, 0, tree, 2, Stride.of(Flat(nodes[0]), 0.5))
    assert waiting(pending) == [True]


def test_spacing_on_a_sphere_is_the_chord_of_the_step() -> None:
    query = torch.tensor([0.0, 0.0, 2.0])
    stride = Stride.of(Sphere(query), math.pi)
    assert stride.spacing == pytest.approx(2 * math.sqrt(2))  # a quarter of the circumference
    assert stride.radius == pytest.approx(2.0)
    assert Stride.of(Flat(query), math.pi).spacing == math.pi


def test_a_target_that_gives_no_direction_is_too_close() -> None:
    query = torch.tensor([2.0, 0.0])
    pending = window(Sphere(query), query[None], [[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0]], 0.5)
    assert waiting(pending) == [False, False, True]  # the query itself, its antipode, a quarter away
    assert pending.candidates[:2].tolist() == [[2.0, 0.0]] * 2
    np.testing.assert_allclose(pending.candidates[2], [2 * math.cos(0.25), 2 * math.sin(0.25)], rtol=1e-6)


def test_a_row_moves_with_all_that_is_known_of_it() -> None:
    pending = window(Flat(torch.zeros(2)), torch.zeros(1, 2), [[0.0, 5.0], [5.0, 0.0], [-5.0, 0.0]], 0.5)
    pending.verdicts[2], pending.is_displaced[2] = INSIDE, True
    row = [values[2].tolist() for values in pending]
    move(pending, 2, 0)
    assert [values[0].tolist() for values in pending] == row
    assert pending.targets[1].tolist() == [5.0, 0.0]
