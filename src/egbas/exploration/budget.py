# SPDX-License-Identifier: MIT
"""How many latents an exact sampler may ask about where the user does not say.

By operations counted and not by seconds measured: the same network has the same bound on every machine.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from egbas.region import Precisions

_MOST, _FEWEST = 500_000, 5_000  # evaluations
_OPERATIONS = 1e13  # of all evaluations together: some minutes on two cores


def largest_budget(precisions: Precisions | None) -> int:
    """The bound for a layer; that for a region of the user's own, whose cost is not known, is the largest.

    Args:
        precisions: the network split at the layer; None for a region of the user's own.
    """
    if precisions is None:
        return _MOST
    counter = _Operations()
    with counter:
        precisions.split.head(torch.ones(1, precisions.split.latent_size, dtype=torch.float32))
    return int(max(_FEWEST, min(_MOST, _OPERATIONS / max(counter.total, 1))))


class _Operations(TorchDispatchMode):
    """Counts operations as torch's own counter does, in this thread alone: that one hooks every module there is."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Ask for no protection from torch.compile: torch imports its compiler for that, which doubles the start."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        operations: Callable[..., int] | None = flop_registry.get(func.overloadpacket)
        if operations is None:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if operations is not None:
            self.total += operations(*args, **kwargs, out_val=result)
        return result
