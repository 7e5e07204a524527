# SPDX-License-Identifier: MIT
"""Hooks on one layer of a forward pass: capture its tensor and stop, record it, or replace it.

In: the layer (the l-th non-linearity called, or a call of a module) and a hook. Everything captured is a clone:
the network may overwrite its tensors in place the moment after.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from egbas.network.flow import Counter
from egbas.network.functions import activation_input, curve_name, main_tensor, tensors_in, with_main
from egbas.network.layers import Layer, split_index
from egbas.network.trace import Site


class Stop(BaseException):
    """Ends a forward pass early. No Exception, so that a network that swallows those lets it through."""


class Capture:
    """Keeps the pre-activation and stops."""

    h: Tensor | None = None

    def before(self, h: Tensor) -> None:
        """Nothing above is computed."""
        self.h = h.clone()
        raise Stop

    def after(self, output: Tensor, is_inplace: bool) -> Tensor:
        """Never reached."""
        return output

    def at_output(self, output: Any) -> Any:
        """Nothing above is computed."""
        self.h = output.clone()
        raise Stop


class Record:
    """Keeps the pre-activation and what the non-linearity makes of it, and goes on."""

    h: Tensor | None = None
    a: Tensor | None = None

    def before(self, h: Tensor) -> None:
        """Clone it."""
        self.h = h.clone()

    def after(self, output: Tensor, is_inplace: bool) -> Tensor:
        """Clone it."""
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
        self.is_done = False

    def before(self, h: Tensor) -> None:
        """The pre-activation stays."""

    def after(self, output: Tensor, is_inplace: bool) -> Tensor:
        """An in-place call is answered in place: the network may read its result through the input."""
        self.is_done = True
        if is_inplace:
            return output.copy_(self.a.view_as(output))
        return self.a.reshape(output.shape).clone()

    def at_output(self, output: Any) -> Any:
        """A clone: what follows may overwrite it."""
        self.is_done = True
        return self.a.reshape(output.shape).clone()


class Exchange:
    """Gives each latent the layer's values of the one before it, and goes on."""

    is_done = False

    def before(self, h: Tensor) -> None:
        """The pre-activation stays."""

    def after(self, output: Tensor, is_inplace: bool) -> Tensor:
        """In place where the call is."""
        self.is_done = True
        return output.copy_(output.roll(1, 0)) if is_inplace else output.roll(1, 0)

    def at_output(self, output: Any) -> Any:
        """The same."""
        return self.after(output, is_inplace=False)


class At:
    """Puts a value in for every pre-activation, keeps what the non-linearity makes of it, and stops."""

    a: Tensor | None = None

    def __init__(self, value: float | Tensor) -> None:
        """Take the value, or those of each latent (n, units)."""
        self.value = value

    def before(self, h: Tensor) -> Tensor:
        """What goes on instead of h."""
        value = self.value
        return value.to(h).reshape(h.shape).clone() if isinstance(value, Tensor) else torch.full_like(h, value)

    def after(self, output: Tensor, is_inplace: bool) -> Tensor:
        """Nothing above is computed."""
        self.a = output.clone()
        raise Stop

    def at_output(self, output: Any) -> Any:
        """A module that is no non-linearity is its own pre-activation."""
        self.a = self.before(output)
        raise Stop


Hook = Capture | Record | Replace | Exchange | At  # what each hands back goes on through the network


@contextmanager
def hooked(module: nn.Module, layer: Layer, hook: Hook, site: Site | None = None) -> Iterator[None]:
    """Set the hook at the layer for one forward pass of the module.

    Args:
        module: the network.
        layer: of the network.
        hook: what is done there.
        site: where the layer is, if it is a non-linearity; by its number where no site is given.
    """
    if site is None and layer.number is not None:
        site = Site(number=layer.number)
    path, index = split_index(layer.path, dict(module.named_modules()) if "#" in layer.path else ())
    nth_call = _NthCall(index or 1, hook)
    if site is not None and site.join is not None:
        join = _Join(site, hook)
        with module.register_forward_pre_hook(join.begin, prepend=True), join:
            yield
    elif site is not None and site.end is not None:
        calls = _Composite(site, hook)
        with module.register_forward_pre_hook(calls.begin, prepend=True), calls:
            yield
    elif isinstance(hook, Capture) and _is_module_of_torch(module, layer, path):
        # The same tensor without a mode around every call below the layer, which costs 0.1 ms a pass.
        with module.get_submodule(path).register_forward_pre_hook(nth_call.before, with_kwargs=True):
            yield
    elif site is not None:
        with _NthActivation(site.number, hook):
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
            self.hook.before(activation_input(args, kwargs))

    def after(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if threading.get_ident() != self.thread:
            return None
        self.remaining -= 1
        if self.remaining:
            return None
        tensor = main_tensor(output)
        return with_main(output, self.hook.at_output(output if tensor is None else tensor))


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
        if self.remaining and curve_name(func) is not None:
            self.remaining -= 1
            if not self.remaining:
                h = activation_input(args, kwargs)
                if (instead := self.hook.before(h)) is not None:
                    args, kwargs = (instead, *args[1:]), {name: kwargs[name] for name in kwargs if name != "input"}
                output = func(*args, **kwargs)
                return self.hook.after(output, output is h)
        return func(*args, **kwargs)


class _Join(TorchFunctionMode):
    """Finds the call that makes a sum or a concatenation, and calls the hook there."""

    def __init__(self, site: Site, hook: Hook) -> None:
        super().__init__()
        self.site = site
        self.hook = hook
        self.thread = threading.get_ident()
        self.counter = Counter()

    def begin(self, module: nn.Module, inputs: Any) -> None:
        if threading.get_ident() == self.thread:
            self.counter = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        place = self.counter.next(func)
        output = func(*args, **kwargs)
        if place != self.site.end:
            return output
        is_inplace = any(output is tensor for tensor in tensors_in(*args, kwargs))
        goes_on = isinstance(self.hook, Replace | Exchange)  # an in-place sum is answered in place
        return self.hook.after(output, is_inplace) if goes_on else self.hook.at_output(output)


class _Composite(TorchFunctionMode):
    """Finds the first and the last call of a composite activation, and calls the hook there."""

    def __init__(self, site: Site, hook: Hook) -> None:
        super().__init__()
        self.site = site
        self.hook = hook
        self.thread = threading.get_ident()
        self.counter = Counter()
        self.h: Tensor | None = None
        self.instead: Tensor | None = None  # of h

    def begin(self, module: nn.Module, inputs: Any) -> None:
        if threading.get_ident() == self.thread:
            self.counter = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, start = kwargs or {}, self.site.start
        place = self.counter.next(func)
        if start is not None and place == replace(start, operand=0):
            self.h = tensors_in(*args, kwargs)[start.operand]
            self.instead = self.hook.before(self.h)
        if self.instead is not None:
            args = self._substituted(args)
            kwargs = {name: self._substituted(value) for name, value in kwargs.items()}
        output = func(*args, **kwargs)
        if place == self.site.end and self.h is not None:
            self.h = self.instead = None
            return self.hook.after(output, any(output is tensor for tensor in tensors_in(*args, kwargs)))
        return output

    def _substituted(self, value: Any) -> Any:
        if value is self.h:
            return self.instead
        if type(value) is list or type(value) is tuple:  # a tuple stays one: x[..., None] is not x[[..., None]]
            return type(value)(self._substituted(each) for each in value)
        return value
