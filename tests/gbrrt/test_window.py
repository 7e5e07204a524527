# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest
import torch

from egbas.gbrrt import GbRrtConfig, Growth
from egbas.gbrrt.nearness import Ruler
from egbas.gbrrt.window import UNKNOWN, Stride, Window
from egbas.geometry import Flat, Geometry, Sphere


def window(geometry: Geometry, nodes: torch.Tensor, targets: list[list[float]], length: float) -> Window:
    """The window of a tree of these nodes, with these targets pending."""
    config = GbRrtConfig(iterations=10, step_size=length, half_width=1.0)
    growth = Growth(nodes[0], config, rng=torch.Generator(), geometry=geometry)
    new = nodes[1:].numpy()
    growth._add(new, np.zeros(len(new), np.int64), np.arange(len(new)))
    return growth._steered(torch.tensor(targets).numpy(), 0)


def test_candidates_wait_only_where_the_place_is_free() -> None:
    nodes = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    pending = window(Flat(nodes[0]), nodes, [[0.0, 5.0], [0.4, 0.0], [1.0, 0.0], [0.9, 0.0]], 0.5)
    assert pending.nearest.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(pending.candidates.latents, [[0.0, 0.5], [0.5, 0.0], [1.0, 0.0], [0.5, 0.0]])
    # The second and the last lie at exactly one step from the other node, which is enough; the third is a node itself.
    assert pending.needs_test().tolist() == [True, True, False, True]


def test_a_candidate_beyond_its_target_may_be_too_close() -> None:
    nodes = torch.tensor([[0.0, 0.0], [0.8, 0.0]])
    pending = window(Flat(nodes[0]), nodes, [[0.3, 0.0]], 0.5)
    assert pending.candidates.latents.tolist() == [[0.5, 0.0]]
    assert pending.needs_test().tolist() == [False]  # 0.3 from the other node


def test_windows_are_joined_and_chosen_from_in_order() -> None:
    nodes = torch.zeros(1, 2)
    one = window(Flat(nodes[0]), nodes, [[0.0, 1.0], [1.0, 0.0]], 0.5)
    other = window(Flat(nodes[0]), nodes, [[-1.0, 0.0]], 0.5)
    both = one.joined(other)
    assert len(both) == 3
    rest = both.chosen(np.array([False, True, True]))
    assert rest.targets.latents.tolist() == [[1.0, 0.0], [-1.0, 0.0]]
    assert rest.verdicts.tolist() == [UNKNOWN] * 2
    assert len(Window.empty(Ruler(np.zeros(2)), np.zeros(2)).joined(one)) == 2


def test_spacing_on_a_sphere_is_the_chord_of_the_step() -> None:
    query = torch.tensor([0.0, 0.0, 2.0])
    assert Stride(Sphere(query), math.pi).spacing == pytest.approx(2 * math.sqrt(2))  # a quarter of the circumference
    assert Stride(Flat(query), math.pi).spacing == math.pi


def test_a_target_that_gives_no_direction_is_too_close() -> None:
    query = torch.tensor([2.0, 0.0])
    pending = window(Sphere(query), query[None], [[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0]], 0.5)
    assert pending.needs_test().tolist() == [False, False, True]  # the query itself, its antipode, a quarter away
    assert pending.candidates.latents[:2].tolist() == [[2.0, 0.0]] * 2
    np.testing.assert_allclose(pending.candidates.latents[2], [2 * math.cos(0.25), 2 * math.sin(0.25)], rtol=1e-6)
