# SPDX-License-Identifier: MIT
"""A forward pass written down as a graph, with no change to anything that other threads use.

``torch.fx`` changes ``nn.Module`` itself, ``math`` and a flag of its own while it traces, and so every network of the
process. Here the calls and the parameters of one module and of those in it are caught, object by object.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, fx, nn

from egbas.network.conditions import Conditions, as_latents, is_row, rows_of
from egbas.network.functions import main_tensor
from egbas.network.graph.rebinding import Rebinding
from egbas.network.torchscript import Scripted

_NOTHING = object()


class Tracer(fx.Tracer):
    """Traces as fx does, and notes which node came out of each call of each module, those that fx goes into too."""

    def __init__(self, conditions: Conditions | None = None) -> None:
        """Start with nothing noted.

        Args:
            conditions: what forward is given beside the latents.
        """
        super().__init__()
        self.conditions = conditions or Conditions()
        self.came_out: dict[str, list[fx.Node | None]] = {}
        self._qualname_counter = defaultdict[str, int](int)  # torch's own is shared by all tracers

    def trace(self, root: nn.Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """Write down the forward pass of a module that no other thread uses.

        Args:
            root: the module; as it was afterwards, but for what its forward set.
            concrete_args: of no use here; arguments beside the latents are those of the conditions.

        Raises:
            TypeError: it has no forward that can be traced.
            Exception: whatever the forward makes of stand-ins for tensors.
        """
        forward = getattr(type(root), "forward", None)
        if not isinstance(root, nn.Module) or not isinstance(forward, FunctionType):
            raise TypeError(f"got a {type(root).__name__}; expected a module whose class defines forward")
        if any("_orig_mod" in module._modules for module in root.modules()):
            raise TypeError("a module of the network is compiled by torch; it cannot be traced")
        self.root, self.root_module_name = root, root._get_name()
        self.submodule_paths = {module: path for path, module in root.named_modules()}
        self.graph = fx.Graph(tracer_cls=type(self))
        self.tensor_attrs = dict(_tensors_of(root, ""))
        rebinding = Rebinding()
        run = rebinding.function(forward)
        # Only the latents are a stand-in: an argument with a default is that default, as in a call.
        latents = self.create_proxy("placeholder", _first_argument(forward), (), {})
        beside = self.conditions.mapped(lambda tensor: self._handed(latents, tensor))
        with _caught(root, self, rebinding):
            self.create_node("output", "output", (self.create_arg(run(root, latents, **beside)),), {})
        self.submodule_paths = None
        return self.graph

    def _handed(self, latents: fx.Proxy, tensor: Tensor) -> Any:
        """A tensor beside the latents: rows for as many as there are, or as it is."""
        return self.create_proxy("call_function", rows_of if is_row(tensor) else as_latents, (latents, tensor), {})

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one node: torch's own, and TorchScript, into which nobody sees."""
        return isinstance(m, Scripted) or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Trace a call of a module as fx does, and note what came out."""
        output = super().call_module(m, forward, args, kwargs)
        proxy = main_tensor(output)
        node = proxy.node if isinstance(proxy, fx.Proxy) else None
        self.came_out.setdefault(self.path_of_module(m), []).append(node)
        return output


def _first_argument(forward: FunctionType) -> str:
    names = forward.__code__.co_varnames[1 : forward.__code__.co_argcount]
    return names[0] if names else "latents"


@contextmanager
def _caught(root: nn.Module, tracer: Tracer, rebinding: Rebinding) -> Iterator[None]:
    """Let the tracer answer for a module and those in it: their calls, parameters and methods."""
    proxies: dict[str, fx.Proxy] = {}  # of the parameters, one for each
    before: list[tuple[dict[str, Any], dict[str, Any]]] = []
    try:
        for module in root.modules():
            own, held = dict[str, Any](rebinding.methods(module)), vars(module)
            # nn.Module calls self._call_impl, and finds a parameter by self._parameters[name].
            own["_call_impl"] = _call_of(module, tracer)
            own["_parameters"] = _Parameters(held["_parameters"], tracer, proxies)
            before.append((held, {name: held.get(name, _NOTHING) for name in own}))
            held.update(own)
        yield
    finally:
        for held, values in before:
            for name, value in values.items():
                if value is _NOTHING:
                    held.pop(name, None)
                else:
                    held[name] = value


def _call_of(module: nn.Module, tracer: Tracer) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        return type(module)._call_impl(module, *args, **kwargs)

    def call(*args: Any, **kwargs: Any) -> Any:
        return tracer.call_module(module, forward, args, kwargs)

    return call


class _Parameters(dict[str, nn.Parameter | None]):
    """The parameters of a module, of which each is a node of the graph where forward reads it as an attribute."""

    def __init__(self, values: dict[str, nn.Parameter | None], tracer: Tracer, proxies: dict[str, fx.Proxy]) -> None:
        super().__init__(values)
        self.tracer, self.proxies = tracer, proxies

    def __getitem__(self, name: str) -> Any:
        return self.tracer.getattr(name, super().__getitem__(name), self.proxies)


def _tensors_of(module: nn.Module, prefix: str) -> Iterator[tuple[Any, str]]:
    """The tensors that are plain attributes of a module or of those in it, and their paths."""
    for name, value in vars(module).items():
        if isinstance(value, Tensor | torch.ScriptObject):
            yield value, prefix + name
    for name, child in module.named_children():
        yield from _tensors_of(child, f"{prefix}{name}.")
