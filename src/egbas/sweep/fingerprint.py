# SPDX-License-Identifier: MIT
"""What a network is, as a checksum: its weights, its structure, its settings and its code; and what it does.

A checksum of the weights alone does not see another slope of a leaky ReLU, a wrapper around the network, weights in a
plain list, or another line in the user's ``forward``. Whatever made a network different, it is then different here.
"""

import functools
import hashlib
import inspect
import random
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from egbas.inputs.models import contained
from egbas.network import Network

_N_PROBES, _N_VALUES = 4, 64
_DEPTH = 6  # of objects within objects
_SETTINGS = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.Size)
# Of a module: what does not decide what it computes, or is told on its own.
_OF_TORCH = frozenset(vars(nn.Module()))
_NOT_ASKED = {"training", "zoo_name", "latent", "dump_patches", "call_super_init", "T_destination"}


def network_sha256(network: nn.Module) -> str:
    """Checksum of all that decides what a network computes, as far as Python shows it.

    Parameters and buffers count, by name and value; of each module its class and those above it, with the file that
    they stand in where that is not torch's, and every attribute that is a number, a text, a tensor, an array, a
    function, or a list or dict of these. Code in other files does not count: what it does, ``behaviour_of`` shows.
    """
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        digest.update(f"\n{name}:{_code_of(type(module))}".encode())
        for attribute, value in sorted(vars(module).items()):
            if attribute in ("_parameters", "_buffers"):
                _add(digest.update, attribute, {key: each for key, each in value.items() if each is not None}, 0)
            elif attribute in _OF_TORCH or attribute in _NOT_ASKED:
                continue
            elif not attribute.startswith("_") or isinstance(value, _SETTINGS):  # private ones may be caches
                _add(digest.update, attribute, value, 0)
        hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
        _add(digest.update, "hooks", hooks, 0)
    return digest.hexdigest()


def behaviour_of(network: Network, images: Tensor | None = None) -> list[float]:
    """What a network does: some values of its images of fixed latents, to three digits of the largest.

    So few that other threads or another device, which change the last digits, hardly ever change one of them.

    Args:
        network: G.
        images: that ``probes_of`` gave; None: they are made.
    """
    return _few(probes_of(network) if images is None else images)


def probes_of(network: Network) -> Tensor:
    """The images of fixed latents, on the CPU."""
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(_N_PROBES, network.latent_size, generator=rng, dtype=torch.float64)
    return network.generate(z.to(network.device, network.dtype)).cpu()


def answers_of(function: Callable[..., Any], images: Tensor) -> Any:
    """What a judge, features or a classifier says of some images, told as ``behaviour_of`` does.

    Random numbers that it draws are the same at every call.

    Args:
        function: of images; a module is asked where its parameters are.
        images: on the CPU; it gets a copy.
    """
    place = next(function.parameters(), images) if isinstance(function, nn.Module) else images
    with contained(), torch.no_grad():  # which brings the state of random numbers back
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        try:
            return _told(function(images.clone().to(place.device)), 0)
        except (Exception, SystemExit) as error:  # the exploration tells what is wrong with it
            return f"raises {type(error).__name__}"


def _told(answer: Any, depth: int) -> Any:
    if isinstance(answer, Mapping) and depth < _DEPTH:
        return {str(name): _told(value, depth + 1) for name, value in answer.items()}
    if isinstance(answer, list | tuple) and depth < _DEPTH and any(isinstance(each, Tensor) for each in answer):
        return [_told(each, depth + 1) for each in answer]
    try:
        return _few(torch.as_tensor(answer).detach().cpu())
    except (TypeError, ValueError, RuntimeError):
        return type(answer).__qualname__


def _few(values: Tensor) -> list[float]:
    """A few of many values, to three digits of the largest, and that."""
    values = (values.real if values.is_complex() else values).double().flatten().nan_to_num()
    if not len(values):
        return []
    values = values[torch.linspace(0, len(values) - 1, _N_VALUES, dtype=torch.float64).long()]
    largest = float(values.abs().max()) or 1.0
    return [round(value / largest, 3) + 0.0 for value in values.tolist()] + [float(f"{largest:.2g}")]


def function_sha256(function: Callable[..., Any]) -> str:
    """Checksum of what a callable is: of its code and of what it holds, or of a module as ``network_sha256`` says."""
    if isinstance(function, nn.Module):
        return network_sha256(function)
    digest = hashlib.sha256()
    _add(digest.update, "", function, 0)
    return digest.hexdigest()


def _add(update: Callable[[bytes], None], name: str, value: Any, depth: int) -> None:  # noqa: C901, PLR0912
    """Add a value to a checksum, with all that it holds."""
    update(f"\n{name}={type(value).__module__}.{type(value).__qualname__} ".encode())
    if isinstance(value, Tensor):
        told = value.detach().cpu().contiguous()
        update(f"{tuple(told.shape)}{told.dtype}".encode())
        if not told.is_meta and not told.is_quantized and told.layout == torch.strided:
            update(told.reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray):
        update(f"{value.shape}{value.dtype}".encode())
        update(np.ascontiguousarray(value).tobytes() if value.dtype != object else repr(value.tolist()).encode())
    elif isinstance(value, (*_SETTINGS, np.generic)):
        update(repr(value).encode())
    elif isinstance(value, nn.Module):
        if depth:  # one that is no child: in a plain list, or bound by a function
            update(network_sha256(value).encode() if depth < _DEPTH else b"")
    elif depth >= _DEPTH:
        return
    elif isinstance(value, functools.partial):
        for part in ("func", "args", "keywords"):
            _add(update, part, getattr(value, part), depth + 1)
    elif isinstance(value, types.MethodType):
        _add(update, "function", value.__func__, depth + 1)
        _add(update, "self", value.__self__, depth + 1)
    elif isinstance(value, types.FunctionType):
        update(_code_of(value).encode())
        for i, cell in enumerate(value.__closure__ or ()):
            with_value = _content(cell)
            _add(update, f"closure {i}", with_value, depth + 1)
    elif isinstance(value, type | types.BuiltinFunctionType):
        update(_name_of(value).encode())
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            _add(update, repr(key) if isinstance(key, _SETTINGS) else "", value[key], depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value if isinstance(value, list | tuple) else sorted(value, key=repr):
            _add(update, "", each, depth + 1)
    else:
        update(_code_of(type(value)).encode())
        for attribute, each in sorted(getattr(value, "__dict__", {}).items()):
            _add(update, attribute, each, depth + 1)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty still
        return None


def _name_of(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"


def _code_of(thing: Any) -> str:
    """The name of a function, or of a class and those above it, and their source where it is the user's own."""
    above = thing.__mro__[1:] if isinstance(thing, type) else ()
    return "".join(_own_code_of(one) for one in (thing, *above))


@functools.cache
def _file_of(thing: Any) -> str:
    """The file that a class or function stands in: what it calls may stand there, too."""
    try:
        return Path(inspect.getsourcefile(thing) or "").read_text(encoding="utf-8")
    except (OSError, TypeError, UnicodeDecodeError):
        return ""


@functools.cache
def _own_code_of(thing: Any) -> str:
    name = _name_of(thing)
    if name.startswith(("torch.", "egbas.", "builtins.", "numpy.")):  # their versions are told on their own
        return name
    code = getattr(thing, "__code__", None)
    told = name if code is None else f"{name} {code.co_names} {_constants(code)}"  # two lambdas may share a line
    try:
        return f"{told} {inspect.getsource(thing)} {_file_of(thing)}"
    except (OSError, TypeError):
        return told if code is None else f"{told} {code.co_code.hex()}"


def _constants(code: types.CodeType) -> str:
    return repr([each for each in code.co_consts if isinstance(each, _SETTINGS)])
