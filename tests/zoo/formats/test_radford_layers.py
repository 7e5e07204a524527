# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import CheckpointError
from egbas.zoo.formats.radford_layers import critic, generator
from tests.zoo.formats.reference import Draw
from tests.zoo.formats.test_tensors import tensors

NORM = {f"n.{part}": torch.ones(4) for part in ("weight", "bias", "running_mean", "running_var")}


def test_channels_come_from_the_shapes() -> None:
    found = generator(
        tensors(**{"a.weight": Draw()(7, 4, 4, 4), "b.weight": Draw()(4, 1, 4, 4)}, **NORM),
        ["a", "b"],
        ["n"],
        tanh=False,
    )
    assert (found.config.latent_size, found.config.channels, found.config.image_channels) == (7, (4,), 1)
    assert found.build()(torch.zeros(2, 7, 1, 1)).shape == (2, 1, 8, 8)


def test_layers_that_do_not_follow_on_one_another_are_refused() -> None:
    odd = tensors(**{"a.weight": Draw()(7, 4, 4, 4), "b.weight": Draw()(5, 1, 4, 4)}, **NORM)
    with pytest.raises(CheckpointError, match=r"'b\.weight'"):
        generator(odd, ["a", "b"], ["n"], tanh=False)
    with pytest.raises(CheckpointError, match="1 convolutions; expected 2 to 10"):
        generator(odd, ["a"], [], tanh=False)


def test_a_critic_gives_one_score() -> None:
    layers = {"a.weight": Draw()(4, 1, 4, 4), "b.weight": Draw()(2, 4, 4, 4)}
    with pytest.raises(CheckpointError, match="2 numbers"):
        critic(tensors(**layers), ["a", "b"], [], sigmoid=False)
