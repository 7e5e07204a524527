# SPDX-License-Identifier: MIT
"""What is given where a network is expected: the network that it plainly means, or a message that says what to give."""

import itertools
import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from egbas.errors import NetworkError, ShapeError
from egbas.latent.space import MOST_COORDINATES

Given = Any  # where a network is expected: a module is meant, and other things come
Inputs = Mapping[str, Any]  # of a network beside the latent, by the names of forward's arguments
Shape = Any  # likewise, of a latent: a tuple of sizes

_DIGITS = 18  # of an index; Python refuses to read more than 4,300


def network_of(given: Any) -> nn.Module:
    """The network that is meant: a module itself, the generator of a model, the module whose ``forward`` it is.

    What wraps a network without changing what it computes is taken off: ``DataParallel``, ``torch.compile``.

    Raises:
        NetworkError: it is something else; the message says what to give instead.
    """
    if isinstance(given, nn.Module):
        return _unwrapped(given)
    generator = getattr(given, "generator", None)
    if isinstance(generator, nn.Module):  # a model, as egbas.load_model gives it
        return _unwrapped(generator)
    owner = getattr(given, "__self__", None)
    if isinstance(owner, nn.Module) and given.__name__ in ("forward", "__call__", "_wrapped_call_impl"):
        return _unwrapped(owner)
    raise NetworkError(f"got {_told(given)} as the network; expected a torch.nn.Module in eval mode: {_todo(given)}")


def refuse_meta(network: nn.Module, told: str) -> None:
    """Refuse a network of shapes alone.

    Args:
        network: whose weights are looked at.
        told: what the message begins with, such as ``the network has``.

    Raises:
        NetworkError: some of its weights are on the device meta.
    """
    if any(tensor.is_meta for tensor in itertools.chain(network.parameters(), network.buffers())):
        raise NetworkError(
            f"{told} weights on the device 'meta', which are shapes alone; build it under "
            "torch.device('cpu'), and load its weights"
        )


def as_index(text: str) -> int | None:
    """The whole number that a text means, which may be negative; None where it means none, or one out of any range."""
    digits = text.removeprefix("-")
    return int(text) if digits.isdecimal() and len(digits) <= _DIGITS else None


def shape_of(given: Any) -> tuple[int, ...]:
    """The latent shape that is meant: a list of sizes, or one size.

    Raises:
        ShapeError: it is neither.
    """
    sizes: Any = (given,) if isinstance(given, Integral) and not isinstance(given, bool) else given
    try:
        shape = tuple(sizes)
        is_shape = bool(shape) and all(size == int(size) and size >= 1 for size in shape)
    except (TypeError, ValueError):
        is_shape, shape = False, ()
    if not is_shape:
        raise ShapeError(f"latent shape {given} is not a list of positive sizes, such as (64,)")
    if math.prod(map(int, shape)) > MOST_COORDINATES:
        raise ShapeError(f"latent shape {given} is out of range; expected {MOST_COORDINATES:,} coordinates at most")
    return tuple(map(int, shape))


def _unwrapped(module: nn.Module) -> nn.Module:
    """The network in what computes the same: a wrapper for several devices, or one that torch has compiled."""
    while True:
        if isinstance(module, nn.DataParallel | DistributedDataParallel):
            module = module.module
        elif isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
            module = inner
        else:
            return module


def _told(given: Any) -> str:
    if isinstance(given, type):
        return f"the class {given.__name__}"
    if isinstance(given, Mapping):
        return f"a {type(given).__name__} of {len(given)} entries"
    if isinstance(given, str):
        return repr(given)
    return f"the function {given.__name__}" if hasattr(given, "__name__") else f"a {type(given).__name__}"


def _todo(given: Any) -> str:
    if isinstance(given, type):
        return f"make one of it, {given.__name__}(...)"
    if isinstance(given, Mapping):
        return "a state dict has weights alone; build the network, and call network.load_state_dict(...)"
    if isinstance(given, str):
        return f"load it first, egbas.load_model({given!r}).generator"
    if callable(given):
        return "call the function in the forward of a module that holds its networks as attributes"
    return "pass the module itself"
