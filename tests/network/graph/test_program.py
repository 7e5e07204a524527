# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import nn

from egbas.network.graph.program import N_CACHED, Program, TailProgram, write_program
from egbas.network.layers import Catalogue, catalogue
from egbas.network.replica import freeze
from egbas.network.trace import Trace, trace
from tests import problems


def traced(generator: nn.Module) -> tuple[nn.Module, Trace, Catalogue]:
    module = freeze(generator).module
    seen, _ = trace(module, lambda: module(torch.randn(3, 2)))
    return module, seen, catalogue(seen, generator)


def program(generator: nn.Module, layer: str) -> Program | None:
    module, seen, names = traced(generator)
    return write_program(module, names.layers[layer], names.calls[layer].site, seen)


def test_a_chain_has_no_skips_and_works_out_of_place() -> None:
    split = program(problems.Plain(), "1")
    assert split is not None and split.skips is None and not split.overwrites
    assert split.tail(torch.tensor([[3.0, 0.0, 2.0]])).tolist() == [[5.0, -1.0]]


def test_a_skip_is_computed_from_the_latents() -> None:
    split = program(problems.Concatenation(), "relu()")
    assert split is not None and split.skips is not None
    (skip,) = split.skips(torch.zeros(2, 2))
    assert skip.tolist() == [[0.0, 0.0]] * 2


@pytest.mark.parametrize("problem", [problems.Branching, problems.InPlaceView])
def test_what_cannot_be_followed_or_leads_nowhere_is_not_written(problem: type[nn.Module]) -> None:
    assert program(problem(), "relu()") is None


def test_skips_are_kept_for_a_few_batch_sizes() -> None:
    split = program(problems.ResidualBlock(), "relu()")
    assert split is not None
    asked: list[int] = []

    def latents(n: int) -> torch.Tensor:
        asked.append(n)
        return problems.QUERY.expand(n, 2)

    tail = TailProgram(split, latents, (3,))
    for n in (1, 2, 2, 1, 1):
        assert tail(torch.zeros(n, 3)).tolist() == [[1.0, 2.0]] * n
    assert asked == [1, 2]
    for n in range(3, 20):
        tail(torch.zeros(n, 3))
    assert len(tail.cache) == N_CACHED


def test_a_skip_may_have_any_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = problems.linear(problems.FIRST)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            h = self.a(z)
            return h + torch.relu(h.roll(1, 1))

    split = program(Named(), "relu()")
    assert split is not None
    assert split.tail(torch.ones(1, 3), torch.zeros(1, 3)).tolist() == [[1.0, 1.0, 1.0]]
