# SPDX-License-Identifier: MIT
"""What one forward pass goes through: its non-linearities and its modules, in order.

Non-linearities are seen as the calls they are (``F.relu``, ``torch.tanh``, ``x.relu_()``), by a mode that
torch tells about every call. So modules, functional and in-place calls, and a module called many times, are
all alike. An activation that is written out by hand takes several calls, and is one layer (composite.py).
"""

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from egbas.network.composite import elementwise_parents, find_composites
from egbas.network.flow import Flow, Place
from egbas.network.functions import (
    activation_input,
    activation_name,
    curve_name,
    function_name,
    is_join,
    main_tensor,
    tensors_in,
)
from egbas.network.torchscript import kind_of, of_python

N_PROBES = 3  # latents in the traced batch: a size that few models have among their own dimensions by design


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a non-linearity is in a forward pass.

    Attributes:
        number: of its call among all calls of non-linearities, from 1; of the first in a composite activation.
        start: of a composite activation, the call and the operand in which the pre-activation comes in; else None.
        end: of a composite activation, the call that makes its output; else None.
        is_closed: whether what a composite activation makes on the way to its output is read by nothing else.
        join: of a sum or a concatenation, its number among all of them, from 1; else None.
    """

    number: int
    start: Place | None = None
    end: Place | None = None
    is_closed: bool = True
    join: int | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a non-linearity or of a module in the traced pass.

    Attributes:
        path: of the module, or of the module that encloses the call of a non-linearity; "" for the generator.
        name: the layer's path before calls are indexed.
        kind: class of the module or name of the function.
        shape: of the non-linearity's input or the module's output, batch first; () where that is no tensor.
        dtype: of that tensor; None where there is none.
        varies: whether the rows of that tensor differ, that is, whether the latent reaches it.
        site: where a non-linearity is; None for a module.
        within: names of the other calls that a composite activation is made of.
        order: number of calls of torch functions on what depends on the latents, before it ended.
        value: what it made, as the flow names it; None where the latents do not reach it.
        channels_last: whether the channels of that tensor are its last axis.
    """

    path: str
    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: torch.dtype | None
    varies: bool
    site: Site | None = None
    within: tuple[str, ...] = ()
    order: int = 0
    value: Hashable | None = None
    channels_last: bool = False


def _not_known(tensor: Tensor) -> Hashable | None:
    """No value: what the pass has made is gone."""
    return None


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One forward pass.

    Attributes:
        activations: its non-linearities in the order of their calls; a composite activation is one.
        modules: the calls of its modules, in order.
        joins: sums and concatenations of what depends on the latents, where a skip may end.
        n_joins: how many there are, with those that are a part of an activation.
        made: gives the value of a tensor in what the pass returned; None where the latents do not reach it.
        curves: paths of the modules in which the non-linearities are called, for all calls in order.
    """

    activations: Sequence[Call]
    modules: Sequence[Call]
    curves: Sequence[str]
    joins: Sequence[Call] = ()
    n_joins: int = 0
    made: Callable[[Tensor], Hashable | None] = field(default=_not_known, repr=False)


def is_activation(module: nn.Module) -> bool:
    """Whether a module is one of torch.nn's activations, or derived from one."""
    return any(base.__module__ == "torch.nn.modules.activation" for base in type(module).__mro__)


def at_rest(seen: Trace) -> Trace:
    """The same without the pass itself, to be kept."""
    return replace(seen, made=_not_known)


def trace(module: nn.Module, run: Callable[[], Any]) -> tuple[Trace, Any]:
    """Watch ``run``, which calls the module once; return what was seen, and what it returned."""
    recorder = _Recorder(module)
    with recorder.following(), recorder:
        output = run()
    seen = Trace(
        activations=recorder.activations(),
        modules=recorder.calls,
        curves=[call.path for call in recorder.curves],
        joins=recorder.joins(),
        n_joins=len(recorder.joined),
        made=recorder.flow.value,
    )
    return seen, output


class _Recorder(TorchFunctionMode):
    """Notes every call of a non-linearity, with the module that encloses it, and every call of a module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.root = module
        self.thread = threading.get_ident()  # others may call the module, too
        self.modules = dict(of_python(module))
        self.stack: list[str] = []
        self.curves: list[Call] = []
        self.numbered: set[int] = set()  # those that are layers also by themselves
        self.joined: list[Call] = []
        self.calls: list[Call] = []
        self.flow = Flow()
        self.is_paused = False  # in our own hooks

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.is_paused or not self.stack:  # before the network, and after it
            return func(*args, **kwargs)
        kind = curve_name(func)
        if kind is not None:
            path = self.stack[-1]
            module = self.modules[path]
            name = f"{path}.{kind}()".removeprefix(".")
            if path and is_activation(module):
                name, kind = path, type(module).__name__
            call = self._told(_call(path, name, kind, activation_input(args, kwargs)))
            if activation_name(func) is not None:
                self.numbered.add(len(self.curves))
            self.curves.append(replace(call, site=Site(number=len(self.curves) + 1)))
        output = self.flow.call(func, args, kwargs)
        if is_join(func) and isinstance(output, Tensor):
            self._note_join(func, output)
        return output

    def _note_join(self, func: Any, output: Tensor) -> None:
        value = self.flow.value(output)
        step = self.flow.steps[-1] if self.flow.steps else None
        if step is None or step.value != value or len(set(step.operands)) < 2:
            return
        path, kind = self.stack[-1], function_name(func)
        site = Site(number=0, end=self.flow.places[step.value], join=len(self.joined) + 1)
        call = _call(path, f"{path}.{kind}()".removeprefix("."), kind, output)
        self.joined.append(replace(self._told(call), site=site, value=value))

    def _told(self, call: Call) -> Call:
        """A call with its order, and where its channels are."""
        return replace(call, order=len(self.flow.steps), channels_last=self.flow.ends_in_features(call.shape))

    def joins(self) -> list[Call]:
        """The sums and concatenations that are no part of an activation."""
        parents = elementwise_parents(self.flow.steps)
        return [call for call in self.joined if call.value is None or parents.get(call.value) is None]

    def activations(self) -> list[Call]:
        """The non-linearities in order; the calls of a composite activation are one."""
        calls = dict(enumerate(self.curves))
        layers = set(self.numbered)
        places, read = self.flow.places, self.flow.read
        for found in find_composites(self.flow.steps):
            first, *others = (places[value].curve for value in found.curves)
            operand = read[found.first].index(found.start)
            site = Site(
                number=first + 1,
                start=replace(places[found.first], operand=operand),
                end=places[found.end],
                is_closed=found.is_closed,
            )
            layers.add(first)
            kinds = dict.fromkeys(calls[number].kind for number in (first, *others))
            calls[first] = replace(
                calls[first],
                kind=f"composite of {', '.join(kinds)}",
                shape=self.flow.shapes[found.start],
                site=site,
                within=tuple(calls.pop(number).name for number in others),
            )
        return [call for number, call in calls.items() if number in layers]

    @contextmanager
    def following(self) -> Iterator[None]:
        """Keep the stack of the modules that are being run, by hooks that are gone afterwards."""
        with ExitStack() as handles:
            for path, module in self.modules.items():
                handles.enter_context(module.register_forward_pre_hook(self._enter(path), prepend=True))
                handles.enter_context(module.register_forward_hook(self._leave(path), always_call=True))
            yield

    def _enter(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any) -> None:
            if threading.get_ident() == self.thread:
                if not self.stack:
                    self.flow.begin(tensors_in(inputs))
                self.stack.append(path)

        return hook

    def _leave(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if threading.get_ident() != self.thread:
                return
            self.stack.pop()
            if output is not None:  # None: the call raised, and somebody caught it
                self.is_paused = True
                tensor = main_tensor(output)
                value = None if tensor is None else self.flow.value(tensor)
                call = _call(path, path, kind_of(module), tensor)
                self.calls.append(replace(self._told(call), value=value))
                self.is_paused = False

        return hook


def _call(path: str, name: str, kind: str, value: Any) -> Call:
    if not isinstance(value, Tensor):
        return Call(path=path, name=name, kind=kind, shape=(), dtype=None, varies=False)
    batched = value.ndim > 0 and value.shape[0] == N_PROBES
    return Call(
        path=path,
        name=name,
        kind=kind,
        shape=tuple(value.shape),
        dtype=value.dtype,
        varies=batched and bool((value != value[:1]).any()),
    )
