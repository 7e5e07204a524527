# SPDX-License-Identifier: MIT
import numpy as np

from egbas.samplers.covariance import shrunk_covariance


def test_many_states_give_their_covariance_and_few_its_diagonal() -> None:
    truth = np.array([[1.0, 0.8], [0.8, 4.0]])
    states = np.random.default_rng(0).multivariate_normal([0, 0], truth, 100_000)
    np.testing.assert_allclose(shrunk_covariance(states), truth, atol=0.05)
    few, plain = shrunk_covariance(states[:4]), np.cov(states[:4], rowvar=False)
    np.testing.assert_allclose(few[0, 1], plain[0, 1] / 2)
    np.testing.assert_allclose(np.diag(few), np.diag(plain))


def test_it_can_always_be_factorised() -> None:
    line = np.outer(np.arange(5.0), [1.0, 2.0, 0.0])
    for states in (line, np.ones((4, 3)), np.arange(6.0)[:, None]):
        assert np.linalg.eigvalsh(shrunk_covariance(states)).min() > 0
