# SPDX-License-Identifier: MIT
"""The functions of torch by their names: which are non-linearities, which go element by element."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, fx

# By the name that torch tells, without underscores: relu_ is relu, F.threshold is _threshold.
# Elementwise only: a softmax or a gated unit has no pre-activation per unit.
ACTIVATIONS = frozenset(
    "celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid logsigmoid mish "
    "prelu relu relu6 "
    "rrelu selu sigmoid silu softplus softshrink softsign special_expit tanh tanhshrink threshold".split()
)
# Not layers by themselves, but what makes a composite activation of the calls around them: GELU is written with erf.
_ONLY_IN_COMPOSITES = frozenset({"erf", "special_erf"})
# Besides those: functions, methods and operators of which each element is made of one element of each tensor.
ELEMENTWISE = frozenset(
    "abs absolute add addcdiv addcmul arctan asinh atan bool ceil clamp clamp_max clamp_min clip clone contiguous "
    "cos cosh detach div divide double eq erf erfc exp exp2 expm1 float floor fmax fmin full_like ge gt half "
    "heaviside iadd idiv imul ipow isub itruediv le lerp log log1p logaddexp logical_and logical_not logical_or "
    "logit lt masked_fill maximum minimum mul multiply ne neg negative ones_like pos positive pow radd rdiv "
    "reciprocal rmul round rpow rsqrt rsub rtruediv sgn sign sin sinh special_erf special_erfc special_expm1 "
    "special_log1p sqrt square sub subtract tan to true_divide truediv type_as where xlogy zeros_like".split()
)
# The elements stay in the order of flatten.
_RESHAPES = frozenset("flatten reshape reshape_as squeeze unflatten unsqueeze view view_as".split())
# They do so where the shape stays, and else some come more than once.
_EXPANDS = frozenset("broadcast_to expand expand_as".split())
# The elements come in another order.
_MOVES = frozenset("adjoint moveaxis movedim permute swapaxes swapdims t transpose".split())
_MOVING_ATTRIBUTES = tuple(getattr(Tensor, name).__get__ for name in ("T", "mT", "H", "mH"))

# Where a skip and the branch that it bypasses come together.
_JOINS = frozenset({"add", "iadd", "radd", "cat", "concat", "concatenate"})


def function_name(function: Callable[..., Any] | str) -> str:
    """Name of a torch function or of a method, without underscores: the same in place."""
    name = function if isinstance(function, str) else getattr(function, "__name__", "")
    return name.strip("_")


def activation_name(function: Callable[..., Any] | str) -> str | None:
    """Name of the non-linearity that a torch function (or a method's name) computes; None if it is none."""
    name = function_name(function)
    return name if name in ACTIVATIONS else None


def curve_name(function: Callable[..., Any] | str) -> str | None:
    """The same, also for functions that are non-linearities only as a part of a composite activation."""
    name = function_name(function)
    return name if name in ACTIVATIONS or name in _ONLY_IN_COMPOSITES else None


def is_elementwise(function: Callable[..., Any] | str, args: Sequence[Any] = ()) -> bool:
    """Whether each element that a function makes depends on one element of each tensor, if they have one shape."""
    name = function_name(function)
    if name == "einsum" and args and isinstance(args[0], str):  # "ni,ni->ni"
        return len(set(args[0].replace(" ", "").replace("->", ",").split(","))) == 1 and "->" in args[0]
    return curve_name(function) is not None or name in ELEMENTWISE


def is_reshape(function: Callable[..., Any] | str, args: Sequence[Any]) -> bool:
    """Whether a call hands on the elements of its first tensor, in the order of ``flatten``: ``x.view(-1)``."""
    name = function_name(function)
    if name == "getitem" and len(args) > 1:  # x[..., None]
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        return all(each is None or each is Ellipsis or _is_all(each) for each in index)
    return name in _RESHAPES


def is_expansion(function: Callable[..., Any] | str) -> bool:
    """Whether a call repeats the elements of its first tensor, as often as a shape asks for: once, where it stays."""
    return function_name(function) in _EXPANDS


def is_move(function: Callable[..., Any] | str) -> bool:
    """Whether a call hands on the elements of its first tensor in another order: ``x.transpose(1, 2)``, ``x.mT``."""
    return function_name(function) in _MOVES or (not isinstance(function, str) and function in _MOVING_ATTRIBUTES)


def _is_all(index: object) -> bool:
    return isinstance(index, slice) and index == slice(None)  # an array would be compared element by element


def is_join(function: Callable[..., Any] | str) -> bool:
    """Whether a function makes one tensor of several, such as the sum of a residual block."""
    return function_name(function) in _JOINS


def activation_input(args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    """The pre-activation: first argument of a non-linearity's call."""
    return args[0] if args else kwargs["input"]


def main_tensor(value: Any) -> Any:
    """The tensor in what a module returned: itself, or the first of what a tuple, list or dict holds; else None."""
    if isinstance(value, Mapping):
        value = next(iter(value.values()), None)
    elif isinstance(value, tuple | list):
        value = value[0] if value else None
    return value if isinstance(value, Tensor | fx.Proxy) else None


def with_main(value: Any, tensor: Tensor) -> Any:
    """The same as a module returned, with another tensor in place of that one."""
    if isinstance(value, Mapping):
        changed = copy.copy(value)
        changed[next(iter(value))] = tensor  # pyright: ignore[reportIndexIssue]  a dict, or one of a library's own
        return changed
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(tensor, *value[1:])
    if isinstance(value, tuple | list):
        return type(value)([tensor, *value[1:]])
    return tensor


def tensors_in(*values: Any) -> list[Tensor]:
    """The tensors in arguments or in what a function returned, also those in lists, in order."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple | dict):
            found += tensors_in(*(value.values() if isinstance(value, dict) else value))
    return found
