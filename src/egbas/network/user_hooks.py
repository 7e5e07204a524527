# SPDX-License-Identifier: MIT
"""The hooks that a user has left on a network: listeners stay silent, the others belong to it and are told.

A hook that stores activations or prints shapes would hear every one of our many passes. One that changes what the
network computes (a latent that is clipped, a weight that is normalised) is a part of the network. Which is which is
seen in one pass: a listener returns nothing, changes no tensor, and without it the images are the same.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as global_hooks

from egbas.errors import EgbasError
from egbas.network.conditions import Conditions
from egbas.network.functions import tensors_in
from egbas.network.images import close, find_image, image_of
from egbas.network.replica import Replica, freeze
from egbas.network.torchscript import of_python

Key = tuple[str, str, int]  # path of the module, which of its dicts, and the hook's key in that

_FORWARD = ("_forward_pre_hooks", "_forward_hooks")
_BACKWARD = ("_backward_pre_hooks", "_backward_hooks")  # the images do not depend on these
_GLOBAL = tuple(f"_global{kind}" for kind in (*_FORWARD, *_BACKWARD))


@dataclass(frozen=True, kw_only=True)
class UserHooks:
    """The hooks of a network's user.

    Attributes:
        silent: those that are taken off copies of the network.
        notices: what is to be told of the others, as sentences.
    """

    silent: frozenset[Key] = frozenset()
    notices: tuple[str, ...] = ()


def user_hooks(
    generator: nn.Module, latents: Callable[[], Tensor], output: int | str | None, conditions: Conditions
) -> UserHooks:
    """Find out which hooks of a network only listen. Each is called once, and only where there are any.

    Args:
        generator: the user's module.
        latents: makes what the network takes, a few rows, the same each time.
        output: which output is the image.
        conditions: what the network is given beside the latents.
    """
    notices = []
    if any(not _is_of_torch(hook) for kind in _GLOBAL for hook in getattr(global_hooks, kind, {}).values()):
        notices.append(
            "There are hooks on all modules of this process (register_module_forward_hook and the like): "
            "they are called at every pass of egbas."
        )
    forward, backward = list(_keys(generator, _FORWARD)), list(_keys(generator, _BACKWARD))
    if not forward and not backward:
        return UserHooks(notices=tuple(notices))
    if freeze(generator).borrowed is not None:
        notices.append(
            f"The network cannot be copied, so that its hooks at {_places([*forward, *backward])} are called at every "
            "pass of egbas; remove them first, or let copy.deepcopy copy the network."
        )
        return UserHooks(notices=tuple(notices))
    listening = _listening(generator, forward, latents, output, conditions) if forward else []
    others = [key for key in forward if key not in listening]
    if others:
        notices.append(
            f"The network has hooks at {_places(others)} that change what it computes: they belong to it, and are "
            "called at every pass of egbas."
        )
    return UserHooks(silent=frozenset([*backward, *listening]), notices=tuple(notices))


def silenced(module: nn.Module, keys: Iterable[Key]) -> nn.Module:
    """Take hooks off a module that is nobody else's."""
    for path, kind, key in keys:
        getattr(module.get_submodule(path), kind).pop(key, None)
    return module


def all_silenced(module: nn.Module) -> nn.Module:
    """Take all hooks of a user off a module that is nobody else's."""
    return silenced(module, list(_keys(module, (*_FORWARD, *_BACKWARD))))


def _listening(
    generator: nn.Module,
    keys: Sequence[Key],
    latents: Callable[[], Tensor],
    output: int | str | None,
    conditions: Conditions,
) -> list[Key]:
    """Those of the hooks that change nothing; none of them where it cannot be told."""
    watched = freeze(generator, conditions)
    watches = {}
    for path, kind, key in keys:
        hooks = getattr(watched.module.get_submodule(path), kind)
        hooks[key] = watches[path, kind, key] = _Watch(hooks[key])
    try:
        with torch.no_grad():
            expected = _image(watched, latents(), output)
            quiet = [key for key, watch in watches.items() if not watch.has_changed]
            # Another copy: the watched one may keep what a hook has set.
            other = freeze(generator, conditions)
            silenced(other.module, quiet)
            got = _image(other, latents(), output)
    except EgbasError:  # forward needs them, or raises anyhow, of which the network's own check tells
        return []
    return quiet if close(got, expected) else []


def _image(replica: Replica, latents: Tensor, output: int | str | None) -> Tensor:
    n = len(latents)
    returned = replica(latents)
    return image_of(returned, n, find_image(returned, n, output)).clone()


class _Watch:
    """Calls a hook, and notes whether it changed something."""

    def __init__(self, hook: Callable[..., Any]) -> None:
        self.hook = hook
        self.has_changed = False

    def __call__(self, module: nn.Module, *args: Any) -> Any:
        tensors = tensors_in(*args)
        before = [_version(tensor) for tensor in tensors]
        answer = self.hook(module, *args)
        after = [_version(tensor) for tensor in tensors]
        self.has_changed = self.has_changed or answer is not None or after != before
        return answer


def _version(tensor: Tensor) -> int:
    """How many times a tensor was overwritten; those of inference mode do not count."""
    return -1 if tensor.is_inference() else tensor._version


def _keys(module: nn.Module, kinds: Iterable[str]) -> Iterable[Key]:
    for path, child in of_python(module):
        for kind in kinds:
            for key, hook in getattr(child, kind, {}).items():
                if not _is_of_torch(hook):
                    yield path, kind, key


def _is_of_torch(hook: Any) -> bool:
    """Whether a hook is one by which torch computes weights: weight_norm, spectral_norm, pruning."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    home = getattr(hook, "__module__", None) or type(hook).__module__
    return home.partition(".")[0] == "torch"


def _places(keys: Iterable[Key]) -> str:
    return ", ".join(dict.fromkeys(repr(path) if path else "its top" for path, _, _ in keys))
