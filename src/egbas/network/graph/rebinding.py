# SPDX-License-Identifier: MIT
"""Functions over global names of their own, so that some calls become nodes and no other thread sees a change.

``torch.fx`` records a call of ``math.sqrt``, or of a function marked by ``fx.wrap``, by binding its name to another
function, for the whole process. Here a function gets a view of its globals instead. What it calls in its own file, or
in others that are neither Python's nor torch's, sees the view, too.
"""

import builtins
import functools
import math
import sys
from collections.abc import Callable, Container
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, no_type_check

from torch import fx, nn
from torch.fx import _symbolic_trace
from torch.fx.node import map_aggregate

_UNSEEN = sys.stdlib_module_names | {"torch", "numpy", "jaxtyping", "beartype"}  # packages left as they are
_MATH = frozenset(id(value) for name, value in vars(math).items() if callable(value) and not name.startswith("_"))


class Rebinding:
    """Hands out functions as a trace is to run them."""

    def __init__(self) -> None:
        """Start with none."""
        self._functions: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._names: dict[int, _Names] = {}  # by the id of the globals that they are a view of
        self._methods: dict[type, dict[str, FunctionType]] = {}

    def function(self, function: FunctionType) -> FunctionType:
        """The function over a view of its globals; itself where there is nothing to see.

        Raises:
            TypeError: ``torch.compile`` made it, which cannot be traced.
        """
        if hasattr(function, "_torchdynamo_orig_callable"):
            raise TypeError(f"{function.__qualname__} is compiled by torch; it cannot be traced")
        if function not in self._functions:
            self._functions[function] = function  # for one that holds itself in a cell
            self._functions[function] = self._rebound(function)
        return self._functions[function]

    def methods(self, module: nn.Module) -> dict[str, MethodType]:
        """The methods of a module that are to be run instead of those of its class."""
        methods = self._methods_of(type(module))
        return {name: MethodType(function, module) for name, function in methods.items() if name not in vars(module)}

    def view(self, shared: dict[str, Any]) -> "_Names":
        """The view of a module's globals, the same each time."""
        if id(shared) not in self._names:
            self._names[id(shared)] = _Names(shared, self)
        return self._names[id(shared)]

    def seen(self, shared: dict[str, Any], name: str) -> Any:
        """What a name in some globals means to a trace.

        Raises:
            KeyError: nothing; the builtins come next.
        """
        if (id(shared), name) in _marked():
            return self._as_node(shared[name] if name in shared else getattr(builtins, name))
        if name == "super" and name not in shared:
            return self._super
        value = shared[name]
        if id(value) in _MATH:
            return self._as_node(value)
        if isinstance(value, ModuleType) and (value is math or _is_seen(value.__name__)):
            return _View(value, self.view(vars(value)))
        return self.function(value) if isinstance(value, FunctionType) else value

    def _rebound(self, function: FunctionType) -> FunctionType:
        names, cells = function.__globals__, function.__closure__ or ()
        if _is_seen(names.get("__name__", "")):
            names = self.view(names)
        inner = tuple(self._cell(cell) for cell in cells)  # a decorator holds what it decorates in one
        if names is function.__globals__ and all(map(lambda a, b: a is b, inner, cells)):
            return function
        closure = inner if function.__closure__ is not None else None
        rebound = FunctionType(function.__code__, names, function.__name__, function.__defaults__, closure)
        rebound.__kwdefaults__ = function.__kwdefaults__
        functools.update_wrapper(rebound, function)
        return rebound

    def _cell(self, cell: CellType) -> CellType:
        try:
            held = cell.cell_contents
        except ValueError:  # nothing yet
            return cell
        own = self.function(held) if isinstance(held, FunctionType) else held
        return cell if own is held else CellType(own)

    def _methods_of(self, kind: type) -> dict[str, FunctionType]:
        if kind not in self._methods:
            first: dict[str, Any] = {}
            for base in kind.__mro__[: kind.__mro__.index(nn.Module)]:
                first = {**vars(base), **first}
            own = {name: self.function(value) for name, value in first.items() if isinstance(value, FunctionType)}
            self._methods[kind] = {
                name: function for name, function in own.items() if function is not first[name] and name[:2] != "__"
            }
        return self._methods[kind]

    @no_type_check  # a check around it would be the frame that it looks at
    def _super(self, *given: Any) -> "_Parent":
        """What ``super`` does, with the methods of the parents as they are to be run."""
        if not given:
            frame = sys._getframe(1)
            given = frame.f_locals["__class__"], frame.f_locals[frame.f_code.co_varnames[0]]
        return _Parent(super(*given), self)

    def _as_node(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if function not in self._functions:
            self._functions[function] = as_node(function)
        return self._functions[function]


class _Names(dict[str, Any]):
    """Global names, looked up when a function asks for them; what it sets stays here."""

    def __init__(self, shared: dict[str, Any], rebinding: Rebinding) -> None:
        super().__init__()
        self.shared, self.rebinding = shared, rebinding

    def __missing__(self, name: str) -> Any:
        value = self[name] = self.rebinding.seen(self.shared, name)
        return value


class _View(ModuleType):
    """A module whose names are those of a view."""

    def __init__(self, module: ModuleType, names: _Names) -> None:
        super().__init__(module.__name__)
        vars(self).update(_module=module, _names=names)

    def __getattr__(self, name: str) -> Any:
        try:
            return vars(self)["_names"][name]
        except KeyError:  # maybe made on demand
            return getattr(vars(self)["_module"], name)


class _Parent:
    """What ``super()`` gave."""

    def __init__(self, parent: Any, rebinding: Rebinding) -> None:
        self._parent, self._rebinding = parent, rebinding

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._parent, name)
        if isinstance(value, MethodType) and isinstance(value.__func__, FunctionType):
            return MethodType(self._rebinding.function(value.__func__), value.__self__)
        return value


def as_node(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, but where it is given a stand-in for a tensor, the call itself becomes a node of the graph."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        proxies: list[fx.Proxy] = []
        map_aggregate((args, kwargs), lambda value: proxies.append(value) if isinstance(value, fx.Proxy) else None)
        if not proxies:
            return function(*args, **kwargs)
        return proxies[-1].tracer.create_proxy("call_function", function, args, kwargs)

    return call


def _marked() -> Container[tuple[int, str]]:
    """The names that ``fx.wrap`` was called for, each after the id of its globals."""
    return getattr(_symbolic_trace, "_wrapped_fns_to_patch", {})


def _is_seen(module_name: str) -> bool:
    return module_name.partition(".")[0] not in _UNSEEN
