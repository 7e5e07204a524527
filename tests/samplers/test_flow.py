# SPDX-License-Identifier: MIT
import numpy as np
import pytest

from egbas.samplers.flow import Flow
from tests.samplers.curved_forms import skewed


@pytest.mark.parametrize("is_curved", [True, False])
def test_a_flow_is_undone_by_flipping_the_momentum(is_curved: bool) -> None:
    flow = Flow(basis=skewed().basis, rates=skewed().rates, is_curved=is_curved)
    rng = np.random.default_rng(0)
    y, p = rng.standard_normal((2, 5, 3))
    cos, sin = flow.factors(rng.random(5))
    there = flow.moved(y, p, cos, sin)
    back = flow.moved(there[0], -there[1], cos, sin)
    np.testing.assert_allclose(back[0], y, atol=1e-12)
    np.testing.assert_allclose(-back[1], p, atol=1e-12)
    if is_curved:
        np.testing.assert_allclose(there[0] ** 2 + there[1] ** 2, y**2 + p**2)


def test_coordinates_and_latents() -> None:
    z = np.random.default_rng(0).standard_normal((4, 3))
    np.testing.assert_allclose(skewed().out(skewed().into(z)), z)


def test_a_reflection_is_its_own_inverse_and_keeps_length() -> None:
    rng = np.random.default_rng(0)
    p, gradient = rng.standard_normal((2, 5, 3))
    once = skewed().reflected(p, gradient)
    np.testing.assert_allclose(np.linalg.norm(once, axis=1), np.linalg.norm(p, axis=1))
    np.testing.assert_allclose(skewed().reflected(once, 7 * gradient), p)
    assert not np.allclose(once, p)


def test_a_gradient_of_zero_reflects_nothing() -> None:
    p = np.ones((1, 3))
    np.testing.assert_array_equal(skewed().reflected(p, np.zeros((1, 3))), p)


def test_a_flow_follows_the_covariance() -> None:
    z = np.random.default_rng(0).standard_normal((20_000, 2)) @ np.diag([1.0, 0.1])
    flow = Flow.of_snapshots(z, is_curved=True)
    np.testing.assert_allclose(flow.rates, [0.1, 1.0], rtol=0.05)
    np.testing.assert_allclose(abs(flow.basis), [[0, 1], [1, 0]], atol=0.02)
    np.testing.assert_allclose(Flow.of_snapshots(3 * z, is_curved=False).rates, [0.3, 3.0], rtol=0.05)


def test_chains_that_have_not_moved_tell_nothing() -> None:
    flow = Flow.of_snapshots(np.ones((40, 3)), is_curved=True)
    assert np.array_equal(flow.basis, np.eye(3))
    assert np.array_equal(flow.rates, np.ones(3))
