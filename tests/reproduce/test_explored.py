# SPDX-License-Identifier: MIT
from dataclasses import replace

import pytest
import torch

from egbas.errors import ModelNotFoundError
from egbas.gbrrt import GbRrtConfig
from egbas.reproduce.explored import Explored
from tests.runs import QUICK


def test_explores_once_and_at_the_query_of_the_seed() -> None:
    explored = Explored(beropt=QUICK, gbrrt=GbRrtConfig(iterations=5))
    run = explored("dcgan-mnist-2d", 1, 3)
    assert explored("dcgan-mnist-2d", 1, 3) is run
    other = explored("dcgan-mnist-2d", 1, 4)
    assert other is not run
    assert other.generator is run.generator
    expected = explored.model("dcgan-mnist-2d").latent.sample(1, rng=torch.Generator().manual_seed(3))[0]
    assert torch.equal(run.query, expected)
    assert (run.seed, run.layer.number, run.tree.evaluations > 0) == (3, 1, True)
    assert run.beropt.config == replace(QUICK, masks=4)  # as many as are taken for a small image


def test_an_unknown_model() -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean"):
        Explored()("dcgan-mist", 1, 0)
