# SPDX-License-Identifier: MIT
"""Non-linearities are seen as calls, once each, however they are written."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egbas.network.trace import trace

Z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


class Calls(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Tensor) -> Tensor:
        return self.function(z.clone())


def kinds(module: nn.Module) -> list[str]:
    return [call.kind for call in trace(module, lambda: module(Z))[0].activations]


MODULES = [
    nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.LeakyReLU(), nn.PReLU(), nn.RReLU().eval(), nn.ELU(),
    nn.SELU(), nn.CELU(), nn.GELU(), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.Tanh(), nn.Sigmoid(),
    nn.Hardtanh(), nn.Hardswish(), nn.Hardsigmoid(), nn.Softsign(), nn.LogSigmoid(), nn.Threshold(0.0, 0.0),
    nn.Tanhshrink(), nn.Softshrink(), nn.Hardshrink(),
]  # fmt: skip


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_a_module_of_torch_is_one_call_of_its_name(module: nn.Module) -> None:
    seen, _ = trace(network := nn.Sequential(nn.Identity(), module), lambda: network(Z.clone()))
    assert [(call.path, call.kind) for call in seen.activations] == [("1", type(module).__name__)]


FUNCTIONS: list[tuple[Callable[[Tensor], Tensor], str]] = [
    (F.relu, "relu"), (torch.relu, "relu"), (torch.relu_, "relu"), (lambda x: x.relu(), "relu"),
    (lambda x: x.relu_(), "relu"), (lambda x: F.relu(x, True), "relu"), (lambda x: F.relu(input=x), "relu"),
    (F.leaky_relu, "leaky_relu"), (F.leaky_relu_, "leaky_relu"), (F.elu_, "elu"), (F.gelu, "gelu"),
    (torch.tanh, "tanh"), (lambda x: x.tanh_(), "tanh"), (F.tanh, "tanh"), (torch.sigmoid, "sigmoid"),
    (F.sigmoid, "sigmoid"), (torch.special.expit, "special_expit"), (F.silu, "silu"),
    (F.softplus, "softplus"), (F.logsigmoid, "log_sigmoid"),
    (lambda x: F.threshold(x, 0.0, 0.0), "threshold"), (F.hardtanh, "hardtanh"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "kind"), FUNCTIONS)
def test_a_function_is_one_call(function: Callable[[Tensor], Tensor], kind: str) -> None:
    assert kinds(Calls(function)) == [kind]


@pytest.mark.parametrize("function", [lambda x: F.softmax(x, 1), lambda x: x.clamp(min=0), lambda x: F.glu(x, 1)])
def test_what_is_not_an_elementwise_non_linearity_is_not_counted(
    function: Callable[[Tensor], Tensor],
) -> None:
    assert kinds(Calls(function)) == []


def test_a_module_that_raises_and_is_caught_leaves_the_paths_right() -> None:
    class Broken(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            raise ValueError

    class Catching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.broken = Broken()

        def forward(self, z: Tensor) -> Tensor:
            try:
                return self.broken(z)
            except ValueError:
                return torch.tanh(z)

    network = nn.Sequential(Catching())
    seen, _ = trace(network, lambda: network(Z))
    assert [call.name for call in seen.activations] == ["0.tanh()"]
    assert [call.path for call in seen.modules] == ["0", ""]


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Sequential(nn.Linear(4, 12), nn.Unflatten(1, (3, 4)), nn.Linear(4, 5), nn.GELU()), True),
        (nn.Sequential(nn.Linear(4, 12), nn.Unflatten(1, (3, 4)), nn.LayerNorm(4), nn.GELU()), True),
        (nn.Sequential(nn.Linear(4, 12), nn.Unflatten(1, (3, 2, 2)), nn.GELU()), False),  # a DCGAN's first layer
        (nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 3), nn.GELU()), False),
        (nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Linear(2, 3), Calls(lambda x: F.gelu(x.mT))), False),
        (nn.Sequential(nn.Linear(4, 4), nn.GELU()), False),
    ],
)
def test_features_behind_tokens_are_the_last_axis(module: nn.Module, expected: bool) -> None:
    (call,) = trace(module, lambda: module(Z.clone()))[0].activations
    assert call.channels_last == expected
