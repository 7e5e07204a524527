# SPDX-License-Identifier: MIT
import torch
from torch import nn

from egbas.network.replica import freeze, frozen_copy
from tests import problems


def test_a_copy_shares_weights_but_nothing_else() -> None:
    generator = problems.Stateful()
    replica = freeze(generator)
    assert replica.borrowed is None and replica.module is not generator
    assert replica(problems.QUERY[None]).tolist() == [problems.QUERY_X.tolist()]
    assert not any(parameter.requires_grad for parameter in replica.module.parameters())
    assert all(parameter.requires_grad for parameter in generator.parameters())
    pairs = zip(generator.parameters(), replica.module.parameters(), strict=True)
    assert all(mine.data_ptr() == copied.data_ptr() for mine, copied in pairs)
    assert (generator.n_passes.item(), generator.last) == (0.0, None)


def test_tied_weights_stay_tied() -> None:
    generator = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    generator[1].weight = generator[0].weight
    copied = frozen_copy(generator, torch.float64)
    assert copied.get_parameter("0.weight") is copied.get_parameter("1.weight")
    assert copied.get_parameter("0.weight").dtype == torch.float64


def test_a_tensor_in_the_middle_of_a_graph_is_copied() -> None:
    generator = problems.Plain()
    generator.scaled = generator[0].weight * 2  # pyright: ignore
    assert freeze(generator).borrowed is None


def test_what_cannot_be_copied_is_borrowed() -> None:
    generator = problems.Stateful(lock=True)
    replica = freeze(generator)
    assert replica.module is generator
    image = replica(problems.QUERY[None])
    assert image.tolist() == [problems.QUERY_X.tolist()]
    assert not image.requires_grad
    assert generator.n_passes.item() == 0
