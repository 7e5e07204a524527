# SPDX-License-Identifier: MIT
"""What a caller has set for all of torch or numpy, kept away from our own work, and back in force for the caller's.

Autocast, the default device, gradient modes and numpy's error state belong to a thread: they are put aside while egbas
works, and nobody else sees it. The default dtype belongs to the process, so it is left alone: every tensor of ours is
made with a dtype of its own.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import numpy as np
import torch

P = ParamSpec("P")
R = TypeVar("R")

_CPU = torch.device("cpu")
_KINDS = "cpu", "cuda", "mps", "xpu"  # of devices that autocast knows
_NUMPY = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}  # as numpy starts
_this = threading.local()  # device: the caller's default, where it was put aside


def is_settled() -> bool:
    """Whether neither autocast nor a default device has to be put aside; asked before every pass, so it is quick."""
    # An empty tensor tells the default device in a tenth of the time of torch.get_default_device.
    return not any(map(torch.is_autocast_enabled, _KINDS)) and torch.empty(0, dtype=torch.float32).device == _CPU


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """Work as in a fresh Python: without autocast, on the CPU where no device is named, with numpy's own error state.

    Gradients are left as they are; ``alone`` sees to them.
    """
    with contextlib.ExitStack() as stack:
        for kind in filter(torch.is_autocast_enabled, _KINDS):
            stack.enter_context(torch.autocast(kind, enabled=False))
        device = torch.get_default_device()
        if device != _CPU:
            stack.callback(setattr, _this, "device", getattr(_this, "device", None))
            _this.device = device
            stack.enter_context(_CPU)
        stack.enter_context(np.errstate(**_NUMPY))  # pyright: ignore[reportArgumentType]
        yield


@contextlib.contextmanager
def as_caller(device: torch.device | None = None) -> Iterator[None]:
    """Within ``settled``: run what is the caller's own, with the default device that the caller has set.

    Args:
        device: to take instead, where the caller has set one: that of a network's weights.
    """
    theirs = getattr(_this, "device", None)
    with contextlib.nullcontext() if theirs is None else device or theirs:
        yield


def alone(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function work ``settled``, and with gradients wherever the caller has switched them off."""

    @functools.wraps(function)
    def work(*inputs: P.args, **settings: P.kwargs) -> R:
        with settled(), torch.inference_mode(mode=False), torch.enable_grad():
            return function(*inputs, **settings)

    return work


def settles(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function work ``settled``; gradients are as the caller has them."""

    @functools.wraps(function)
    def work(*inputs: P.args, **settings: P.kwargs) -> R:
        if is_settled():
            return function(*inputs, **settings)
        with settled():
            return function(*inputs, **settings)

    return work
