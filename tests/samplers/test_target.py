# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import ConfigError, ShapeError
from egbas.latent import LatentSpace
from egbas.samplers.target import Density, Gaussian, UniformBox, UniformSphere, prior_target, uniform_target

QUERY = torch.tensor([3.0, 0.0, 4.0])


def test_the_prior_of_each_latent_space() -> None:
    assert prior_target(LatentSpace(shape=(3,)), QUERY) == Gaussian(3)
    assert prior_target(LatentSpace(shape=(3,), geometry="sphere"), QUERY) == UniformSphere(3, 5.0)
    box = prior_target(LatentSpace(shape=(3,), prior="uniform", bound=5.0, geometry="sphere"), QUERY)
    assert isinstance(box, UniformBox) and box.low.tolist() == [-5.0] * 3 and box.high.tolist() == [5.0] * 3


def test_a_latent_space_of_ones_own_needs_a_density() -> None:
    own = LatentSpace(shape=(3,))
    object.__setattr__(own, "prior", "mixture")
    with pytest.raises(ConfigError, match="log_density"):
        prior_target(own, QUERY)
    object.__setattr__(own, "log_density", lambda z: -z.abs().sum(1))
    target = prior_target(own, QUERY)
    assert isinstance(target, Density) and target.d == 3


def test_the_box_of_the_uniform_distribution_stays_in_the_support() -> None:
    box = uniform_target(LatentSpace(shape=(3,), prior="uniform", bound=4.5), QUERY, 2.0)
    assert isinstance(box, UniformBox)
    assert box.low.tolist() == [1.0, -2.0, 2.0] and box.high.tolist() == [4.5, 2.0, 4.5]
    wide = uniform_target(LatentSpace(shape=(3,)), QUERY, None)
    assert isinstance(wide, UniformBox) and wide.high.tolist() == [7.0, 4.0, 8.0]
    assert uniform_target(LatentSpace(shape=(3,), geometry="sphere"), QUERY, 1.0) == UniformSphere(3, 5.0)


def test_a_half_width_for_each_coordinate() -> None:
    box = UniformBox.around(QUERY, torch.tensor([1.0, 2.0, 3.0]))
    assert box.d == 3 and box.low.tolist() == [2.0, -2.0, 1.0]


def test_supports() -> None:
    z = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    assert Gaussian(2).contains(z).tolist() == [True, True]
    assert UniformSphere(2, 2.0).contains(z).tolist() == [False, True]
    assert UniformBox(-torch.ones(2), torch.ones(2)).contains(z).tolist() == [True, False]
    assert Density(lambda z: torch.where(z[:, 0] > 1, 0.0, -torch.inf), 2).contains(z).tolist() == [False, True]


def test_spaces_without_room_are_refused() -> None:
    with pytest.raises(ConfigError, match="low < high"):
        UniformBox(torch.zeros(2), torch.tensor([1.0, 0.0]))
    with pytest.raises(ConfigError, match="sphere of radius"):
        UniformSphere(1, 1.0)
    with pytest.raises(ShapeError, match="query is zero"):
        prior_target(LatentSpace(shape=(3,), geometry="sphere"), torch.zeros(3))
