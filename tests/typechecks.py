# SPDX-License-Identifier: MIT
"""The checks of types and shapes that the tests switch on, at a fraction of what jaxtyping's own take.

The import hook of jaxtyping (``--jaxtyping-packages``) puts ``jaxtyping.jaxtyped`` on every function and dataclass of
egbas. That builds four functions for each at import, and checks the parameters of every call twice. ``checked`` takes
its place: beartype looks at what a call takes and gives back once, built when a function is first called.
"""

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

Function = Callable[..., Any]

_with_errors = BeartypeConf(violation_type=jaxtyping.TypeCheckError)  # a TypeError, as that of jaxtyping is
_scope = jaxtyping.jaxtyped("context")  # in which the letters of shapes have one size each


def checked(what: Any = None, *, typechecker: object = None) -> Any:
    """Check every call of a function, of a descriptor's functions, or of a dataclass's ``__init__``.

    Args:
        what: to check; None: give the decorator.
        typechecker: as jaxtyping's hook names it; it is beartype here.
    """
    del typechecker
    if what is None:
        return checked
    if getattr(what, "__no_type_check__", False):
        return what
    if inspect.isclass(what):
        init = what.__dict__.get("__init__")
        if dataclasses.is_dataclass(what) and not hasattr(init, "__wrapped__") and init is not None:
            what.__init__ = _checked(init)
        return what
    if isinstance(what, classmethod | staticmethod):
        return type(what)(_checked(what.__func__))
    if isinstance(what, property):
        return property(*(part and _checked(part) for part in (what.fget, what.fset, what.fdel)))
    return _checked(what)


def _checked(function: Function) -> Function:
    with_checks: Function | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        # ``call`` itself is not asked: what a nested one holds would stay for long.
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        nonlocal with_checks
        if with_checks is None:
            with_checks = beartype(_resolved(function), conf=_with_errors)
        with _scope:
            return with_checks(*args, **kwargs)

    return call


def _resolved(function: Function) -> Function:
    """The function with types instead of their names; a name that only type checkers import is Any."""
    if not isinstance(function, types.FunctionType):
        return function
    code, scope = function.__code__, function.__globals__
    copy = types.FunctionType(code, scope, function.__name__, function.__defaults__, function.__closure__)
    copy = functools.update_wrapper(copy, function)
    del copy.__wrapped__
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__annotations__ = {name: _type(hint, scope) for name, hint in function.__annotations__.items()}
    return copy


def _type(hint: Any, scope: dict[str, Any]) -> Any:
    def of_it(value: Any) -> None: ...

    of_it.__annotations__ = {"value": hint}
    try:
        return typing.get_type_hints(of_it, scope, include_extras=True)["value"]
    except (NameError, TypeError, SyntaxError):
        return Any
