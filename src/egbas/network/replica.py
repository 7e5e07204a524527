# SPDX-License-Identifier: MIT
"""A frozen stand-in for the user's generator, so that nothing ever happens to the generator itself.

In: any nn.Module. Out: something to call whose weights share the generator's memory and need no gradient.
Hooks, buffers that change in forward and attributes that forward sets all land on the stand-in. Where there is none,
hooks and frozen tensors are on the generator itself during a pass: other threads that call it get the same images.
"""

import copy
import itertools
import os
import threading
import weakref
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from egbas.errors import EgbasError, NetworkError
from egbas.machine.settings import as_caller
from egbas.network.conditions import Conditions
from egbas.network.torchscript import frozen_script, is_script_function, of_python, scripted_in

_N_TRIES = 3  # at a copy, where another thread runs forward meanwhile


class Door:
    """Lets one thread at a time through; a copy is a door of its own, and so is that of a forked process."""

    def __init__(self) -> None:
        """Begin open."""
        self._lock = threading.RLock()
        _doors.add(self)

    def __enter__(self) -> None:
        """Go in, more than once if the thread is in already."""
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        """Go out."""
        self._lock.release()

    def __reduce__(self) -> tuple[type["Door"], tuple[()]]:
        """A new one."""
        return Door, ()

    @staticmethod
    def _open_all() -> None:
        for door in _doors:
            door._lock = threading.RLock()


_doors: weakref.WeakSet[Door] = weakref.WeakSet()
_of_the_borrowed = Door()  # one for all: two of them may have a module in common
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Door._open_all)  # whoever was inside is not in the child


@dataclass(frozen=True, kw_only=True, eq=False)
class Replica:
    """The stand-in.

    Attributes:
        module: a copy of the generator, or the generator itself where it cannot be copied.
        borrowed: None for a copy; else the frozen tensors that stand in for the generator's own
            parameters and buffers for the length of each call.
        conditions: what it is given beside the latents.
        door: to be held from the setting of a hook to its removal, and during a call: forward may keep tensors on the
            module from one line to the next.
    """

    module: nn.Module
    borrowed: dict[str, Tensor] | None = None
    conditions: Conditions = field(default_factory=Conditions)
    door: Door = field(default_factory=Door, repr=False)

    def __call__(self, latents: Tensor) -> Any:
        """Run forward on latents (n, *latent_shape).

        Raises:
            NetworkError: forward raised; the original error is chained.
        """
        try:
            with self.door, as_caller(latents.device):
                beside = self.conditions.rows(latents)
                try:
                    if self.borrowed is None:
                        return self.module(latents, **beside)
                    return functional_call(self.module, self.borrowed, (latents,), beside)
                finally:
                    if torch.is_grad_enabled():
                        self._forget()
        except EgbasError:
            raise
        except (Exception, SystemExit) as error:
            raise NetworkError(
                f"the network raised {type(error).__name__} on latents of shape {tuple(latents.shape)}: {error}; "
                f"it must run as {self._called} on a batch of any size; what its forward takes beside the latents is "
                "given by --input NAME=VALUE, in Python inputs={'NAME': VALUE}"
            ) from error

    @property
    def _called(self) -> str:
        return f"generator({', '.join(['latents', *(f'{name}=...' for name in self.conditions.given)])})"

    def _forget(self) -> None:
        """Cut what forward has kept off from the pass that made it: the next pass may overwrite it."""
        held = [] if self.borrowed is None else [self.borrowed]
        if self.borrowed is None:
            for module in self.module.modules():
                held += [module._buffers, vars(module)]
        for values in held:
            for name, value in values.items():
                if isinstance(value, Tensor) and value.grad_fn is not None:
                    values[name] = value.detach()


def freeze(generator: nn.Module, conditions: Conditions | None = None) -> Replica:
    """Make the stand-in: a copy that shares the weights, or the generator itself where none can be made."""
    conditions = conditions or Conditions()
    _refuse_lazy(generator)
    for _ in range(_N_TRIES):
        try:
            return Replica(module=frozen_copy(generator), conditions=conditions)
        except RuntimeError:  # attributes that came or went meanwhile
            continue
        except Exception:  # locks, open files: whatever deepcopy stumbles over
            break
    with _of_the_borrowed:  # not while another exploration has tensors of its own there
        tensors = itertools.chain(generator.named_parameters(), generator.named_buffers())
        frozen = {name: _frozen(tensor, tensor.dtype) for name, tensor in tensors}
    return Replica(module=generator, borrowed=frozen, conditions=conditions, door=_of_the_borrowed)


def channels_last(module: nn.Module) -> nn.Module:
    """Lay the weights of convolutions out with the channels last, which makes it a fifth faster on a processor.

    The module must be nobody else's; weights that it shares with another are copied.
    """
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
            for weight in conv.parameters(recurse=False):
                if weight.ndim == 4:
                    weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return module


def frozen_copy(generator: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
    """Copy the modules of a generator around its weights, which are shared and need no gradient.

    Buffers are copied: forward may write to them. With a ``dtype`` every floating-point tensor is converted.
    """
    memo: dict[int, Any] = {}
    for script in scripted_in(generator).values():
        memo[id(script)] = frozen_script(script, dtype)
    for _, module in of_python(generator):
        memo |= {id(value): value for value in vars(module).values() if is_script_function(value)}
        held = (module._parameters, module._buffers, vars(module))
        for tensor in itertools.chain.from_iterable(values.values() for values in held):
            if isinstance(tensor, Tensor):
                memo[id(tensor)] = _frozen(tensor, dtype)
    return _uncompiled(copy.deepcopy(generator, memo))


def _uncompiled(module: nn.Module) -> nn.Module:
    """Let what torch has compiled inside a module run as it is written: hooks compile again at every pass."""
    for compiled in module.modules():
        inner = compiled._modules.get("_orig_mod")
        if inner is not None:
            vars(compiled)["forward"] = inner.__call__
    return module


def _frozen(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    values = tensor.detach()
    if values.is_inference():  # made in inference mode, where nothing keeps what gradients need
        values = values.clone()
    if dtype is not None and values.is_floating_point():
        values = values.to(dtype)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(values, requires_grad=False)
    return values.clone()


def _refuse_lazy(generator: nn.Module) -> None:
    for name, tensor in itertools.chain(generator.named_parameters(), generator.named_buffers()):
        if is_lazy(tensor):
            raise NetworkError(f"parameter {name!r} has no shape yet; run the network once, then load its weights")
