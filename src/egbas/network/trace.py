# SPDX-License-Identifier: MIT
"""What one forward pass goes through: its non-linearities and its modules, in order.

Non-linearities are seen as the calls they are (``F.relu``, ``torch.tanh``, ``x.relu_()``), by a mode that
torch tells about every call. So modules, functional and in-place calls, and a module called many times, are
all alike.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# By the name that torch tells the mode, without underscores: relu_ is relu, F.threshold is _threshold.
# Elementwise only: a softmax or a gated unit has no pre-activation per unit.
ACTIVATIONS = frozenset(
    "celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid logsigmoid mish "
    "prelu relu relu6 "
    "rrelu selu sigmoid silu softplus softshrink softsign special_expit tanh tanhshrink threshold".split()
)
N_PROBES = 3  # latents in the traced batch: a size that few models have among their own dimensions by design


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
    """

    path: str
    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: torch.dtype | None
    varies: bool


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One forward pass: its non-linearities and its modules, each in the order of their calls."""

    activations: Sequence[Call]
    modules: Sequence[Call]


def activation_name(function: Callable[..., Any] | str) -> str | None:
    """Name of the non-linearity that a torch function (or a method's name) computes; None if it is none."""
    name = function if isinstance(function, str) else getattr(function, "__name__", "")
    name = name.strip("_")
    return name if name in ACTIVATIONS else None


def activation_input(args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    """The pre-activation: first argument of a non-linearity's call."""
    return args[0] if args else kwargs["input"]


def is_activation(module: nn.Module) -> bool:
    """Whether a module is one of torch.nn's activations, or derived from one."""
    return any(base.__module__ == "torch.nn.modules.activation" for base in type(module).__mro__)


def trace(module: nn.Module, run: Callable[[], Any]) -> tuple[Trace, Any]:
    """Watch ``run``, which calls the module once; return what was seen, and what it returned."""
    recorder = _Recorder(module)
    with recorder.following(), recorder:
        output = run()
    return Trace(activations=recorder.activations, modules=recorder.calls), output


class _Recorder(TorchFunctionMode):
    """Notes every call of a non-linearity, with the module that encloses it, and every call of a module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.root = module
        self.thread = threading.get_ident()  # others may call the module, too
        self.modules = dict(module.named_modules())
        self.stack: list[str] = []
        self.activations: list[Call] = []
        self.calls: list[Call] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        kind = activation_name(func)
        if kind is not None:
            path = self.stack[-1] if self.stack else ""
            module = self.modules[path]
            name = f"{path}.{kind}()".removeprefix(".")
            if path and is_activation(module):
                name, kind = path, type(module).__name__
            self.activations.append(_call(path, name, kind, activation_input(args, kwargs)))
        return func(*args, **kwargs)

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
                self.stack.append(path)

        return hook

    def _leave(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if threading.get_ident() != self.thread:
                return
            self.stack.pop()
            if output is not None:  # None: the call raised, and somebody caught it
                self.calls.append(_call(path, path, type(module).__name__, output))

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
