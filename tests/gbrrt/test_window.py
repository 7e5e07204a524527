# SPDX-License-Identifier: MIT
import math

import pytest
import torch
from torch import Tensor

from egbas.gbrrt.window import INSIDE, Stride, Window, chord
from egbas.geometry import Flat, Geometry, Sphere


def window(geometry: Geometry, nodes: Tensor, targets: list[list[float]], length: float) -> tuple[Window, Stride]:
    stride = Stride(geometry, length)
    return Window.empty(nodes[0]).extended(torch.tensor(targets), nodes, stride), stride


def test_chords_do_not_depend_on_the_batch() -> None:
    points = torch.randn(40, 7, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([chord(row[None], points) for row in points])
    assert torch.equal(chord(points, points), alone)
    assert (chord(points, points).diagonal() == 0).all()  # no cancellation


def test_candidates_wait_only_where_the_place_is_free() -> None:
    nodes = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    pending, _ = window(Flat(nodes[0]), nodes, [[0.0, 5.0], [0.4, 0.0], [1.0, 0.0]], 0.5)
    assert pending.nearest.tolist() == [0, 0, 1]
    torch.testing.assert_close(pending.candidates, torch.tensor([[0.0, 0.5], [0.5, 0.0], [1.0, 0.0]]))
    # The second lies at exactly one step from the other node, which is enough; the third is a node itself.
    assert pending.needs_test().tolist() == [True, True, False]


def test_conflicts_and_how_the_rest_sees_new_nodes() -> None:
    nodes = torch.zeros(3, 2)
    pending, stride = window(Flat(nodes[0]), nodes[:1], [[0.0, 5.0], [0.1, 5.0], [5.0, 0.0], [-5.0, 0.0]], 0.5)
    displaces, crowds = pending.conflicts(stride)
    assert displaces[1].tolist() == [True, True, False, False]  # the first candidate would lie nearer to its target
    assert crowds[1].tolist() == [True, True, False, False]
    pending.verdicts[:] = INSIDE
    nodes[1] = pending.candidates[0]
    rest = pending.advanced(1, nodes[1:2], nodes[:2], stride)
    assert rest.nearest.tolist() == [1, 0, 0]
    assert rest.needs_test().tolist() == [True, False, False]  # steered anew; the others keep their answers
    torch.testing.assert_close(rest.candidates[0], torch.tensor([0.01, 1.0]), atol=2e-3, rtol=0)


def test_spacing_on_a_sphere_is_the_chord_of_the_step() -> None:
    query = torch.tensor([0.0, 0.0, 2.0])
    assert Stride(Sphere(query), math.pi).spacing == pytest.approx(2 * math.sqrt(2))  # a quarter of the circumference
    assert Stride(Flat(query), math.pi).spacing == math.pi


def test_a_target_that_gives_no_direction_is_too_close() -> None:
    query = torch.tensor([2.0, 0.0])
    pending, _ = window(Sphere(query), query[None], [[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0]], 0.5)
    assert pending.needs_test().tolist() == [False, False, True]  # the query itself, its antipode, a quarter away
    assert torch.equal(pending.candidates[:2], query.expand(2, 2))
    torch.testing.assert_close(pending.candidates[2], 2 * torch.tensor([math.cos(0.25), math.sin(0.25)]))
