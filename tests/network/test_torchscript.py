# SPDX-License-Identifier: MIT
"""TorchScript in a network: a module like any other from outside, and nothing to see inside."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import LayerNotFoundError
from egbas.network import Network
from egbas.network.replica import frozen_copy
from egbas.network.torchscript import Scripted, scripted_in
from tests import problems

pytestmark = pytest.mark.filterwarnings("ignore")  # torch advises against TorchScript


class Above(nn.Module):
    """The second map, with a ReLU behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.map = problems.linear(problems.SECOND)
        self.act = nn.ReLU()

    def forward(self, a: Tensor) -> Tensor:
        return self.act(self.map(a))


def scripted(module: nn.Module) -> nn.Module:
    return torch.jit.script(module.eval())


def traced(module: nn.Module) -> nn.Module:
    return torch.jit.trace(module.eval(), torch.ones(2, 3))


def with_above(make: Callable[[nn.Module], nn.Module]) -> nn.Module:
    generator = problems.Plain()
    generator[2] = make(Above())
    return generator.eval()


@pytest.mark.parametrize("make", [scripted, traced])
@pytest.mark.parametrize("layer", [1, "0", "2"])
def test_a_layer_outside_works_as_if_there_were_none(make: Callable[[nn.Module], nn.Module], layer: int | str) -> None:
    generator = with_above(make)
    wanted = [parameter.requires_grad for parameter in generator.parameters()]
    network = Network(generator, (2,))
    split, plain = network.split(layer), Network(with_above(lambda module: module), (2,)).split(layer)
    z = torch.tensor([[1.0, 2.0], [0.3, -0.2]])
    assert torch.equal(split.head(z), plain.head(z))
    assert torch.equal(split.in_float64().head(z), plain.in_float64().head(z))
    tail, other = split.at(problems.QUERY), plain.at(problems.QUERY)
    assert tail.route == "graph"
    a = torch.rand(2, len(tail.a), requires_grad=True)
    assert torch.equal(tail(a), other(a))
    gradients = [torch.autograd.grad(one(a).sum(), a)[0] for one in (tail, other)]
    assert torch.equal(*gradients)
    assert [parameter.requires_grad for parameter in generator.parameters()] == wanted
    assert "TorchScript runs at '2': non-linearities inside cannot be seen" in network.notices[0]


def test_what_is_inside_is_refused_with_the_way_out() -> None:
    network = Network(with_above(scripted), (2,))
    assert network.resolve("2").kind == "Above (TorchScript)"
    for layer in ("2.act", 2):
        with pytest.raises(LayerNotFoundError, match=r"TorchScript runs at '2'.*load_state_dict\(scripted.state_dict"):
            network.resolve(layer)


def test_an_activation_in_torchscript_is_no_layer() -> None:
    generator = problems.Plain()
    generator[1] = scripted(nn.ReLU())
    with pytest.raises(LayerNotFoundError, match="activation in TorchScript, whose pre-activation cannot be seen"):
        Network(generator, (2,)).resolve("1")


@pytest.mark.parametrize("kind", ["scripted", "traced", "loaded", "frozen"])
def test_a_whole_network_in_torchscript_gives_images_and_has_no_layers(kind: str, tmp_path: Path) -> None:
    generator: nn.Module = torch.jit.script(problems.Plain().eval())
    if kind == "traced":
        generator = torch.jit.trace(problems.Plain().eval(), torch.ones(2, 2))
    if kind == "loaded":
        torch.jit.save(generator, tmp_path / "net.pt")
        generator = torch.jit.load(tmp_path / "net.pt")
    if kind == "frozen":
        generator = torch.jit.freeze(generator)
    network = Network(generator, (2,))
    assert network.generate(problems.QUERY[None]).tolist() == [problems.QUERY_X.tolist()]
    for layer in (1, "1"):
        with pytest.raises(LayerNotFoundError, match=r"is TorchScript.*give the nn.Module that was scripted"):
            network.split(layer)


def test_a_function_in_torchscript_is_run_and_need_not_be_copied() -> None:
    generator = problems.Functional()
    generator.function = torch.jit.trace(lambda x: x * 2, torch.ones(2))  # pyright: ignore
    copied = frozen_copy(generator)
    assert copied.function is generator.function
    assert Network(generator, (2,)).split(1).at(problems.QUERY).route == "graph"


def test_one_that_is_used_twice_is_copied_once() -> None:
    generator = nn.Sequential(scripted(nn.Linear(2, 2)), nn.ReLU())
    generator.append(generator[0])
    assert list(scripted_in(generator)) == ["0"]
    copied = frozen_copy(generator, torch.float64)
    assert copied[0] is copied[2]
    assert isinstance(copied[0], Scripted)
    assert copied(torch.ones(1, 2).double()).dtype == torch.float64
