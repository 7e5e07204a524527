# SPDX-License-Identifier: MIT
"""How much of an image flows past a layer, and the state after the addition by name."""

from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.errors import ConfigError
from egbas.network import Network
from egbas.network.bypass import instead_of, sentence, share_past
from egbas.network.functions import main_tensor, with_main
from tests import problems

Z = torch.randn(6, 2, generator=torch.Generator().manual_seed(3))


class Block(nn.Module):
    """x + share * relu(x): with a linear map of the sum behind it."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.lift, self.back = problems.linear(problems.FIRST), problems.linear(problems.SECOND)
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return x + self.share * self.back(torch.relu(self.lift(x)))


class Returns(Block):
    """A block that returns more than its sum."""

    kind: Any = tuple

    def forward(self, x: Tensor) -> Any:
        y = super().forward(x)
        return {"tuple": (y, None), "list": [y, x], "dict": OrderedDict(y=y, x=x), "named": Pair(y, x)}[self.kind]


Pair = namedtuple("Pair", "y x")


class Residual(nn.Module):
    """A block whose sum is its output, two sums at the top (one in place), and a map to the image."""

    def __init__(self, share: float = 0.1) -> None:
        super().__init__()
        self.block, self.other = Block(share), Block(share)
        self.out = problems.linear([[1.0, 2.0], [3.0, -1.0]])

    def forward(self, z: Tensor) -> Tensor:
        h = self.block(z)
        h = h + self.other.back(torch.tanh(self.other.lift(h)))
        h += 0.1 * torch.sigmoid(h.flip(1))
        return self.out(h)


class Branching(Residual):
    """torch.fx cannot follow it."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z if float(z.detach().abs().max()) < 1e6 else z / 2)


def by_hand(network: nn.Module, z: Tensor, path: str) -> float:
    """The share by a plain hook on a module: each latent gets the module's output of the one before it."""
    with torch.no_grad():
        images = network(z)
        handle = network.get_submodule(path).register_forward_hook(lambda module, args, output: output.roll(1, 0))
        exchanged = network(z)
        handle.remove()
    return float((exchanged - images.roll(1, 0)).norm() / (images - images.roll(1, 0)).norm())


@pytest.mark.parametrize("kind", [Residual, Branching])
def test_shares_are_those_of_plain_hooks(kind: type[nn.Module]) -> None:
    generator = kind().eval()
    network = Network(generator, (2,))
    for path in ("block.lift", "block.back", "other.lift", "block"):
        assert network.past(path, Z) == pytest.approx(by_hand(generator, Z, path), abs=1e-5)
    assert network.past("block", Z) == pytest.approx(0, abs=1e-6)
    assert network.past(1, Z) == network.past("block.relu()", Z)
    assert 0.5 < (network.past(1, Z) or 0) < 1.1


def test_nothing_flows_past_a_chain() -> None:
    layers = Network(problems.Plain().eval(), (2,)).measured()
    assert [layer.past for layer in layers] == [0.0] * len(layers)
    assert Network(problems.Plain().eval(), (2,)).bypass_of(layers[0]) is None


def test_all_flows_past_a_layer_that_the_image_does_not_hang_on() -> None:
    network = Network(Residual(share=0.0).eval(), (2,))
    assert network.past(1, Z) == pytest.approx(1)
    constant = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    nn.init.zeros_(constant[2].weight)
    branching = Network(nn.Sequential(constant), (2,))
    assert share_past(branching._forward, branching.layers[0], branching._catalogue.calls["0.1"], Z) is None


@pytest.mark.parametrize("kind", [Residual, Branching])
@pytest.mark.parametrize("path", ["block", "add()#1", "add()#2", "block.add()"])
def test_a_sum_has_its_boundaries_at_its_own_output(kind: type[nn.Module], path: str) -> None:
    generator = kind().eval()
    network = Network(generator, (2,))
    split = network.split(path)
    with torch.no_grad():
        one = generator.block(Z)
        two = one + generator.other.back(torch.tanh(generator.other.lift(one)))
        three = two + 0.1 * torch.sigmoid(two.flip(1))
        expected = {"block": one, "block.add()": one, "add()#1": two, "add()#2": three}[path]
        image = generator(Z[:1])
        half = generator.out(torch.tensor([[0.5, 0.0]]))
    torch.testing.assert_close(split.head(Z), expected)
    tail = split.at(Z[0])
    assert tail.route == ("graph" if kind is Residual else "hooks")
    torch.testing.assert_close(tail(tail.a[None]), image)
    if path == "add()#2":  # the masks multiply the sum
        torch.testing.assert_close(tail(torch.tensor([[0.5, 0.0]])), half)
    assert split.in_float64().head(Z).dtype == torch.float64


@pytest.mark.parametrize("kind", ["tuple", "list", "dict", "named"])
def test_a_block_that_returns_more_than_its_sum_can_be_named(kind: str) -> None:
    class Network2(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Returns(0.1)
            self.block.kind = kind

        def forward(self, z: Tensor) -> Tensor:
            returned = self.block(z)
            return (returned["y"] if kind == "dict" else returned[0]) * 2

    generator = Network2().eval()
    split = Network(generator, (2,)).split("block")
    torch.testing.assert_close(split.head(Z), Block.forward(generator.block, Z).detach())
    torch.testing.assert_close(split.at(Z[0])(torch.ones(1, 2)), torch.full((1, 2), 2.0))


def test_the_state_after_the_addition_is_named() -> None:
    network = Network(Residual().eval(), (2,))
    assert [layer.path for layer in network.joins] == ["block", "add()#1", "add()#2"]
    relu, tanh, _ = network.layers
    instead = [network.instead_of(layer, Z) for layer in (relu, tanh)]
    assert [layer and layer.path for layer in instead] == ["block", "add()#1"]
    told = network.bypass_of(relu, Z)
    assert told is not None
    assert "'block.relu()' is bypassed" in told
    assert "--layer block (Block, 2)" in told


def test_the_image_itself_is_no_way_out() -> None:
    network = Network(Block(0.1).eval(), (2,))
    assert network.instead_of(network.layers[0], Z) is None
    told = network.bypass_of(network.layers[0], Z)
    assert told is not None
    assert told.endswith("No state between it and the image has all of it.")


def test_an_exploration_of_a_bypassed_layer_says_so() -> None:
    few = egbas.GbRrtConfig(iterations=30)
    run = egbas.explore(Residual(0.3).eval(), problems.QUERY, 1, rng=0, level=8, samples=0, gbrrt=few)
    assert any("is bypassed" in text and "--layer block" in text for text in run.warnings)
    after = egbas.explore(Residual(0.3).eval(), problems.QUERY, "block", rng=0, samples=0, gbrrt=few)
    assert not any("bypassed" in text for text in after.warnings)
    with pytest.raises(ConfigError, match=r"is empty.*Layer 'block\.relu\(\)' is bypassed: .*--layer block"):
        egbas.explore(Residual(0.001).eval(), problems.QUERY, 1, rng=0, samples=0, gbrrt=few)


def test_the_pieces() -> None:
    network = Network(Residual().eval(), (2,))
    layer = network.layers[0]
    assert sentence(layer, None, None) is None
    assert sentence(layer, 0.2, None) is None
    assert instead_of(layer, [], 0, lambda one: 0.0) is None
    y, x = torch.ones(1), torch.zeros(1)
    for value in (y, (y, x), [y, x], {"a": y, "b": x}, Pair(y, x)):
        assert main_tensor(value) is y
        assert type(with_main(value, x)) is type(value)
        assert main_tensor(with_main(value, x)) is x
    assert main_tensor(("no", y)) is None
    assert main_tensor(()) is None
