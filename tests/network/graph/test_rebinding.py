# SPDX-License-Identifier: MIT
"""Calls that are as_node wherever they stand: in methods, parents, decorators and helpers."""

import functools
import math
from collections.abc import Callable
from math import floor, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from egbas.network.graph.rebinding import Rebinding, as_node
from egbas.network.graph.tracing import Tracer


@fx.wrap
def leaf(x: Tensor) -> Tensor:
    return 2 * x if x.sum() > 0 else x


fx.wrap("len")


def scaled(x: Tensor) -> Tensor:
    return x / math.sqrt(x.shape[1])


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


class Parent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.helped(leaf(x)) * self.weight

    def helped(self, x: Tensor) -> Tensor:
        return scaled(x) * sqrt(x.shape[1]) + floor(x.shape[0])


class Calling(Parent):
    @decorated
    def forward(self, x: Tensor, *others: Tensor, power: int = 1) -> Tensor:
        return super().forward(x) * math.log(x.shape[1]) / len(x)


def targets(module: nn.Module) -> list[object]:
    return [node.target for node in Tracer().trace(module).nodes if node.op == "call_function"]


def test_calls_are_recorded_wherever_they_stand() -> None:
    called = targets(nn.Sequential(Calling()))
    for function in (leaf, math.sqrt, math.floor, math.log, len):
        assert function in called
    assert called.count(math.sqrt) == 2


def test_functions_are_the_same_without_a_stand_in() -> None:
    rebinding = Rebinding()
    own = rebinding.function(scaled)
    assert own is rebinding.function(scaled) and own is not scaled
    x = torch.ones(2, 4)
    assert torch.equal(own(x), scaled(x))
    assert rebinding.methods(Calling())["helped"](x[:, :3]).tolist() == [[3.0] * 3] * 2
    assert as_node(math.sqrt)(4.0) == 2.0


@pytest.mark.parametrize("function", [nn.functional.relu, functools.wraps, nn.Sequential.forward])
def test_functions_of_python_and_torch_are_left(function: Callable[..., Any]) -> None:
    assert Rebinding().function(function) is function  # pyright: ignore[reportArgumentType]


COUNT = 0


def counting() -> int:
    global COUNT  # noqa: PLW0603
    COUNT += 1
    return COUNT


def test_globals_are_not_written_to() -> None:
    own = Rebinding().function(counting)  # pyright: ignore[reportArgumentType]
    assert (own(), own(), COUNT) == (1, 2, 0)


def test_a_missing_name_is_still_one() -> None:
    def asks() -> object:
        return nobody_has_this_name  # pyright: ignore[reportUndefinedVariable]

    with pytest.raises(NameError, match="nobody_has_this_name"):
        Rebinding().function(asks)()  # pyright: ignore[reportArgumentType]


def test_what_torch_compiled_is_refused() -> None:
    def compiled() -> None:
        pass

    vars(compiled)["_torchdynamo_orig_callable"] = scaled  # as torch.compile leaves it
    with pytest.raises(TypeError, match="compiled"):
        Rebinding().function(compiled)  # pyright: ignore[reportArgumentType]
