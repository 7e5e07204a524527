# SPDX-License-Identifier: MIT
"""Heads: pre-activations known by hand, and nothing computed above the layer."""

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import NetworkError, ShapeError
from egbas.network import Network
from egbas.zoo.mnist_dcgan import DcganGenerator
from tests import problems

SAME_H = [
    problems.Plain, problems.Nested, problems.Functional, problems.InPlaceModule, problems.InPlaceStatement,
    problems.InPlaceView, problems.InPlaceAbove, problems.SharedActivation, problems.ResidualBlock,
    problems.BatchSizes, problems.Branching, problems.Swallowing, problems.SwishNetwork, problems.Dictionary,
    problems.Stateful,
]  # fmt: skip


@pytest.mark.parametrize("problem", SAME_H, ids=lambda problem: problem.__name__)
def test_the_head_gives_pre_activations(problem: type[nn.Module]) -> None:
    split = Network(problem(), (2,)).split(1)
    z = torch.stack([problems.QUERY, torch.zeros(2), torch.tensor([-1.0, 1.0])])
    assert split.head(z).tolist() == [[3.0, -1.0, 2.0], [0.0, 0.0, -1.0], [0.0, -2.0, 2.0]]
    assert split.head(z[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("generator", "layer", "expected"),
    [
        (problems.SharedActivation(), "act#2", [-1.0, 2.0, 0.0]),
        (problems.SharedActivation(), 3, [-1.0, 1.0, -1.0]),
        (problems.SharedBlock(), "block.1#1", [-2.0]),
        (problems.SharedBlock(), "block.1#2", [2.0]),
        (problems.SharedBlock(), "block#1", [-1.0]),
        (problems.SharedBlock(), "block.0#2", [2.0]),
        (problems.Concatenation(), "relu()", [3.0, -1.0, 2.0]),
        (problems.ScaledNetwork(), "act", [-5.0]),
        (problems.ScaledNetwork(), "wrapped", [-5.0]),
        (problems.ScaledNetwork(), "wrapped.conv", [3.0]),  # the trap: the other sign
        (problems.MutatingNetwork(), "wrapper.inner", [3.0, -1.0, 2.0]),
        (problems.MutatingNetwork(), "wrapper", [-3.0, 1.0, -2.0]),
        (problems.InPlaceModule(), "0", [3.0, -1.0, 2.0]),
        (problems.InPlaceView(), "first", [3.0, -1.0, 2.0]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_heads_of_named_layers(generator: nn.Module, layer: int | str, expected: list[float]) -> None:
    assert Network(generator, (2,)).split(layer).head(problems.QUERY[None])[0].tolist() == expected


def test_the_head_of_the_dcgan_is_the_output_of_its_norms() -> None:
    torch.manual_seed(0)
    generator = DcganGenerator(2).eval()
    network = Network(generator, (2,))
    z = torch.randn(5, 2)
    for number in range(1, 5):
        below = nn.Sequential(*list(generator.children())[: 3 * number])
        with torch.no_grad():
            expected = below(z).flatten(1)
        torch.testing.assert_close(network.split(number).head(z), expected, rtol=0, atol=0)


@pytest.mark.parametrize("layer", [1, "0"])
def test_nothing_above_the_layer_is_computed(layer: int | str) -> None:
    generator, calls = problems.Plain(), []
    generator[2].register_forward_hook(lambda *_: calls.append(1))
    split = Network(generator, (2,)).split(layer)
    calls.clear()
    split.head(torch.ones(4, 2))
    assert calls == []


def test_a_network_that_swallows_exceptions_is_stopped_all_the_same() -> None:
    generator, calls = problems.Swallowing(), []
    generator.second.register_forward_hook(lambda *_: calls.append(1))
    split = Network(generator, (2,)).split(1)
    calls.clear()
    split.head(torch.ones(4, 2))
    assert calls == []


def test_the_head_keeps_no_graph_and_no_hold_on_the_latents() -> None:
    class Overwriting(problems.Plain):
        def forward(self, z: Tensor) -> Tensor:
            return super().forward(z.add_(0.0).mul_(2.0))

    split = Network(Overwriting(), (2,)).split(1)
    z = torch.ones(1, 2, requires_grad=True)
    h = split.head(z)
    assert not h.requires_grad
    assert z.tolist() == [[1.0, 1.0]]
    split.at(z[0])
    assert z.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("shape", [(2,), (3, 5), (1, 2, 1)])
def test_latents_of_the_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    split = Network(problems.Plain(), (2,)).split(1)
    with pytest.raises(ShapeError, match=r"expected \(n, 2\)"):
        split.head(torch.zeros(shape))


@pytest.mark.parametrize("query", [torch.zeros(3), torch.zeros(1, 2), torch.tensor([0.0, torch.nan])])
def test_a_bad_query_is_refused(query: Tensor) -> None:
    with pytest.raises(ShapeError, match=r"expected \(2,\), all values finite"):
        Network(problems.Plain(), (2,)).split(1).at(query)


def test_latents_that_go_around_the_layer_are_told() -> None:
    class Around(problems.TwoMaps):
        def forward(self, z: Tensor) -> Tensor:
            h = self.first(z)
            return self.second(h if bool((z > 50).all()) else torch.relu(h))

    split = Network(Around(), (2,)).split(1)
    with pytest.raises(NetworkError, match="did not come to layer"):
        split.head(torch.full((1, 2), 100.0))


def test_latents_of_another_dtype_are_converted() -> None:
    split = Network(problems.Plain(), (2,)).split(1)
    assert split.head(problems.QUERY[None].double()).dtype == torch.float32
    assert split.at(problems.QUERY.double()).x.dtype == torch.float32
