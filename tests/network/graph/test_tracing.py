# SPDX-License-Identifier: MIT
"""The same graphs as those of torch.fx, and nothing changed that others see."""

import inspect
import math
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from egbas.network.graph.tracing import Tracer
from egbas.network.replica import freeze
from egbas.zoo.models import load_model
from tests import problems
from tests.network.graph.test_rebinding import Calling


class Everything(nn.Module):
    """Parameters, buffers, constants, hooks, lists of parameters, and modules that are called more than once."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.act = nn.Linear(2, 3), nn.ReLU()
        self.again = self.act
        self.listed = nn.ParameterList([nn.Parameter(torch.ones(3))])
        self.named = nn.ParameterDict({"scale": nn.Parameter(torch.ones(3))})
        self.register_buffer("shift", torch.ones(3))
        self.constant = torch.ones(3)
        self.calling = Calling()
        self.chain = nn.Sequential(self.calling, nn.Tanh(), self.calling)
        self.calling.register_forward_hook(lambda module, inputs, output: output + 1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.again(self.act(self.linear(z))) * self.listed[0] * self.named["scale"] + self.shift
        h = nn.functional.linear(h, torch.eye(3), self.linear.bias) + self.constant + torch.tensor([1.0, 2.0, 3.0])
        return self.chain(h).view(z.size(0), 3) * math.pi


class Plainly(fx.Tracer):
    """As ``Tracer``, with the tracing of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.came_out: dict[str, list[fx.Node | None]] = {}

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        output = super().call_module(m, forward, args, kwargs)
        node = output.node if isinstance(output, fx.Proxy) else None
        self.came_out.setdefault(self.path_of_module(m), []).append(node)
        return output


PROBLEMS = [
    kind
    for _, kind in inspect.getmembers(problems, inspect.isclass)
    if issubclass(kind, nn.Module)
    and not any(p.default is p.empty for p in inspect.signature(kind).parameters.values())
]
OTHERS = [
    Everything(),
    nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(2, 4)), nn.ReLU()),
    nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 4)), nn.ReLU()),
    *[load_model(name).generator for name in ("dcgan-mnist-2d", "pggan-mnist")],
]


def described(tracer: fx.Tracer, generator: nn.Module) -> object:
    try:
        graph = tracer.trace(freeze(generator).module)
    except Exception as error:
        return type(error)
    nodes = [(node.op, str(node.target), str(node.args), str(node.kwargs)) for node in graph.nodes]
    assert isinstance(tracer, Tracer | Plainly)
    return nodes, {path: [str(node) for node in came_out] for path, came_out in tracer.came_out.items()}


@pytest.mark.parametrize(
    "generator", [*[kind() for kind in PROBLEMS], *OTHERS], ids=lambda generator: type(generator).__name__
)
def test_graphs_are_those_of_torch(generator: nn.Module) -> None:
    generator.eval()
    assert described(Tracer(), generator) == described(Plainly(), generator)


def test_a_module_is_left_as_it_was() -> None:
    class Watching(problems.Nested):
        def forward(self, z: Tensor) -> Tensor:
            if len(seen) == 2:
                raise ValueError
            seen.append((nn.Module.__call__, nn.Module.__getattr__, __import__("math").sqrt))  # math itself is a view
            return super().forward(z)

    seen: list[object] = [(nn.Module.__call__, nn.Module.__getattr__, math.sqrt)]
    module = freeze(Watching()).module
    before = [(child, dict(vars(child))) for child in module.modules()]
    Tracer().trace(module)
    assert seen[0] == seen[1]
    with pytest.raises(ValueError):
        Tracer().trace(module)
    assert [(child, dict(vars(child))) for child in module.modules()] == before


def test_another_thread_may_call_the_traced_modules_class() -> None:
    images = []

    class Waiting(problems.Plain):
        def forward(self, z: Tensor) -> Tensor:
            if isinstance(z, fx.Proxy):
                thread = threading.Thread(target=lambda: images.append(Waiting()(problems.QUERY[None]).tolist()))
                thread.start()
                thread.join()
            return super().forward(z)

    Tracer().trace(freeze(Waiting()).module)
    assert images == [[problems.QUERY_X.tolist()]]


class Compiled(nn.Module):
    """As ``torch.compile`` wraps a module."""

    def __init__(self) -> None:
        super().__init__()
        self._orig_mod = nn.Linear(2, 2)


@pytest.mark.parametrize("root", [nn.Linear(2, 2).forward, nn.Sequential(Compiled())], ids=["function", "compiled"])
def test_what_cannot_be_traced(root: Any) -> None:
    with pytest.raises(TypeError):
        Tracer().trace(root)
