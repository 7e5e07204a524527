# SPDX-License-Identifier: MIT
"""Hooks on one layer of a forward pass: capture its tensor and stop, record it, or replace it.

In: the layer (the l-th non-linearity called, or a call of a module) and a hook. Everything captured is a clone:
the network may overwrite its tensors in place the moment after.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from egbas.network.layers import Layer
from egbas.network.trace import activation_input, activation_name


class Stop(BaseException):
    """Ends a forward pass early. No Exception, so that a network that swallows those lets it through."""


class Capture:
    """Keeps the pre-activation and stops."""

    h: Tensor | None = None

    def at_activation(self, h: Tensor, activate: Callable[[], Tensor]) -> Tensor:
        """Nothing above is computed."""
        self.h = h.clone()
        raise Stop

    def at_output(self, output: Any) -> Any:
        """Nothing above is computed."""
        self.h = output.clone()
        raise Stop


class Record:
    """Keeps the pre-activation and what the non-linearity makes of it, and goes on."""

    h: Tensor | None = None
    a: Tensor | None = None

    def at_activation(self, h: Tensor, activate: Callable[[], Tensor]) -> Tensor:
        """Clone before and after."""
        self.h = h.clone()
        output = activate()
        self.a = output.clone()
        return output

    def at_output(self, output: Any) -> Any:
        """Before and after are the same here."""
        self.h = self.a = output.clone()
        return output


class Replace:
    """Goes on with a (n, units) instead of the layer's output."""

    def __init__(self, a: Tensor) -> None:
        """Take what to go on with."""
        self.a = a

    def at_activation(self, h: Tensor, activate: Callable[[], Tensor]) -> Tensor:
        """An in-place call is answered in place: the network may read its result through the input."""
        output = activate()
        if output is h:
            return h.copy_(self.a.view_as(h))
        return self.a.reshape(output.shape).clone()

    def at_output(self, output: Any) -> Any:
        """A clone: what follows may overwrite it."""
        return self.a.reshape(output.shape).clone()


Hook = Capture | Record | Replace  # what each hands back goes on through the network


@contextmanager
def hooked(module: nn.Module, layer: Layer, hook: Hook) -> Iterator[None]:
    """Set the hook at the layer for one forward pass of the module."""
    path, _, index = layer.path.partition("#")
    nth_call = _NthCall(int(index or 1), hook)
    if isinstance(hook, Capture) and _is_module_of_torch(module, layer, path):
        # The same tensor without a mode around every call below the layer, which costs 0.1 ms a pass.
        with module.get_submodule(path).register_forward_pre_hook(nth_call.before, with_kwargs=True):
            yield
    elif layer.number is not None:
        with _NthActivation(layer.number, hook):
            yield
    else:
        with module.get_submodule(path).register_forward_hook(nth_call.after):
            yield


def _is_module_of_torch(module: nn.Module, layer: Layer, path: str) -> bool:
    """Whether the layer is an activation module with torch's own forward: its input is the pre-activation."""
    if layer.number is None or path.endswith("()"):
        return False
    return type(module.get_submodule(path)).__module__ == "torch.nn.modules.activation"


class _NthCall:
    """Hooks of torch that call ours at the n-th call of a module; calls by other threads do not count."""

    def __init__(self, n: int, hook: Hook) -> None:
        self.remaining = n
        self.hook = hook
        self.thread = threading.get_ident()

    def before(self, module: nn.Module, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        if threading.get_ident() != self.thread:
            return
        self.remaining -= 1
        if not self.remaining:
            h = activation_input(args, kwargs)
            self.hook.at_activation(h, lambda: h)

    def after(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if threading.get_ident() != self.thread:
            return None
        self.remaining -= 1
        return self.hook.at_output(output) if not self.remaining else None


class _NthActivation(TorchFunctionMode):
    """Counts the non-linearities and calls the hook at the one that is meant."""

    def __init__(self, number: int, hook: Hook) -> None:
        super().__init__()
        self.remaining = number
        self.hook = hook

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.remaining and activation_name(func) is not None:
            self.remaining -= 1
            if not self.remaining:
                return self.hook.at_activation(activation_input(args, kwargs), lambda: func(*args, **kwargs))
        return func(*args, **kwargs)
