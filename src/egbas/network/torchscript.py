# SPDX-License-Identifier: MIT
"""TorchScript in a network: a module that is run as it is, and into which nobody sees.

torch tells of no call in it and sets no hook on it. So it is one module without children, with its output as the layer.
"""

import copy
from typing import Any

import torch
from torch import fx, nn


class Scripted(nn.Module):
    """Runs a TorchScript module, which is kept where torch does not look for modules to set hooks on."""

    def __init__(self, module: torch.jit.ScriptModule) -> None:
        """Take what is to be run."""
        super().__init__()
        self.held = (module,)
        self.kind = f"{kind_of(module)} (TorchScript)"

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run it."""
        return self.held[0](*args, **kwargs)


def kind_of(module: nn.Module) -> str:
    """Name of a module's class; of a TorchScript module that of the class that it was made of."""
    if isinstance(module, Scripted):
        return module.kind
    return str(getattr(module, "original_name", "")) or type(module).__name__


def scripted_in(module: nn.Module, prefix: str = "") -> dict[str, torch.jit.ScriptModule]:
    """The TorchScript modules in a module by their paths; what is inside one of them is not listed."""
    if isinstance(module, torch.jit.ScriptModule):
        return {prefix: module}
    found: dict[str, torch.jit.ScriptModule] = {}
    for name, child in module.named_children():
        found |= scripted_in(child, f"{prefix}.{name}" if prefix else name)
    return found


def frozen_script(module: torch.jit.ScriptModule, dtype: torch.dtype | None) -> Scripted:
    """Copy a TorchScript module, with weights of its own that need no gradient, of another ``dtype`` where given."""
    with torch.no_grad():  # its weights are cloned
        copied = copy.deepcopy(module)
    for tensor in copied.parameters():
        tensor.requires_grad_(False)
    return Scripted(copied if dtype is None else copied.to(dtype))


def of_python(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules that hooks can be set on, with their paths."""
    return [(path, child) for path, child in module.named_modules() if not isinstance(child, torch.jit.ScriptModule)]


def is_scripted_activation(module: nn.Module) -> bool:
    """Whether a module is one of torch's activations in TorchScript: its pre-activation cannot be seen."""
    return isinstance(module, torch.jit.ScriptModule) and hasattr(nn.modules.activation, kind_of(module))


def is_script_function(value: object) -> bool:
    """Whether it is a function of TorchScript: it cannot be copied, and need not be."""
    return isinstance(value, torch.jit.ScriptFunction)


def is_exported(module: nn.Module) -> bool:
    """Whether a module is the graph that ``torch.export`` wrote: it calls torch's operators, which tell nobody."""
    if not isinstance(module, fx.GraphModule):
        return False
    return any(isinstance(node.target, torch._ops.OpOverload) for node in module.graph.nodes)


def not_seen(generator: nn.Module) -> str | None:
    """A sentence on what nobody sees in a network; None where there is no TorchScript in it."""
    found = scripted_in(generator)
    if not found:
        return None
    what = "The network is TorchScript" if "" in found else f"TorchScript runs at {', '.join(map(repr, found))}"
    return (
        f"{what}: non-linearities inside cannot be seen, and are no layers. To explore them, give the nn.Module that "
        "was scripted or traced, with these weights: module.load_state_dict(scripted.state_dict())."
    )
