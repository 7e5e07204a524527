# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch

from egbas.samplers.curves import Brackets, curves_of
from egbas.samplers.target import Density, Gaussian, Target, UniformBox, UniformSphere

TARGETS = [
    Gaussian(3),
    UniformBox(torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([1.0, 0.5, 9.0])),
    UniformSphere(3, 2.0),
    Density(lambda z: -z.abs().sum(1), 3),
]
STATE = np.array([[0.5, 0.25, 3.0]])


def state_of(target: Target, n: int) -> np.ndarray:
    z = np.repeat(STATE, n, axis=0)
    return z * 2 / np.linalg.norm(STATE) if isinstance(target, UniformSphere) else z


def started(target: Target, n: int = 200) -> Brackets:
    z = state_of(target, n)
    return curves_of(target, np.diag([1.0, 2.0, 0.5])).start(z, np.arange(n), np.random.default_rng(0))


@pytest.mark.parametrize("target", TARGETS)
def test_a_bracket_holds_the_state(target: Target) -> None:
    found = started(target)
    assert bool((found.lower <= 0).all() and (found.upper >= 0).all())
    assert bool((found.t >= found.lower).all() and (found.t <= found.upper).all())
    at_zero = found._replace(t=np.zeros(200))
    points = curves_of(target, np.eye(3)).place(at_zero.points(np.arange(200)))
    np.testing.assert_allclose(points, state_of(target, 200), rtol=1e-12)


def test_every_eighth_curve_of_a_gaussian_is_an_arc() -> None:
    found = started(Gaussian(3))
    assert found.is_arc.tolist() == ([True] + [False] * 7) * 25
    np.testing.assert_allclose((found.upper - found.lower)[::8], 2 * np.pi)
    # The ends of a line lie on the sphere of the level, the same for both.
    lengths = [
        np.linalg.norm(found._replace(t=end).points(np.flatnonzero(~found.is_arc)), axis=1)
        for end in (found.lower, found.upper)
    ]
    np.testing.assert_allclose(lengths[0], lengths[1])
    assert bool((lengths[0] > np.linalg.norm(STATE)).all())


def test_lines_in_a_box_end_at_its_sides() -> None:
    box = TARGETS[1]
    assert isinstance(box, UniformBox)
    found = started(box)
    low, high = box.low.numpy(), box.high.numpy()
    for end in (found.lower, found.upper):
        points = found._replace(t=end).points(np.arange(200))
        assert np.abs(np.minimum(points - low, high - points).min(axis=1)).max() < 1e-9


def test_points_on_a_sphere_keep_its_radius() -> None:
    points = curves_of(UniformSphere(3, 2.0), np.eye(3)).place(started(UniformSphere(3, 2.0)).points(np.arange(200)))
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 2.0)


def test_a_density_is_stepped_out_to_the_level() -> None:
    target = Density(lambda z: -0.5 * (z / 5).square().sum(1), 1)  # ten times as wide as a step: at most 16 of them
    curves = curves_of(target, np.eye(1))
    found = curves.start(np.zeros((500, 1)), np.zeros(500, np.int64), np.random.default_rng(0))
    n_steps = (found.upper - found.lower) / 3
    np.testing.assert_allclose(n_steps, n_steps.round())
    assert n_steps.max() <= 16
    ends = [found._replace(t=end).points(np.arange(500)) for end in (found.lower, found.upper)]
    is_below = [~curves.allows(end, found.level) for end in ends]
    assert np.mean(is_below[0] & is_below[1]) > 0.5
