# SPDX-License-Identifier: MIT
"""The calls of torch functions in a forward pass: where each is, what it reads, what it makes.

In: the calls, one after the other. Out: steps for composite.py, and places by which a later pass finds a call again.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from egbas.network.composite import Step
from egbas.network.functions import (
    curve_name,
    function_name,
    is_elementwise,
    is_expansion,
    is_move,
    is_reshape,
    tensors_in,
)
from egbas.network.order import SAME, order_of

_OF_FEATURES = frozenset("addmm baddbmm layer_norm linear matmul rms_norm".split())
_OF_CHANNELS = frozenset(
    "batch_norm conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d group_norm "
    "instance_norm".split()
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a torch function is called in a forward pass, and which: the same in every pass.

    Attributes:
        curve: number of non-linearities that were called before.
        since: number of calls since the last of them, or since the pass began.
        name: of the function.
        operand: which of the tensors that the call reads is meant, where one is.
    """

    curve: int
    since: int
    name: str
    operand: int = 0


class Counter:
    """Counts the calls of torch functions in a forward pass."""

    def __init__(self) -> None:
        """Begin a pass."""
        self.curve = self.since = 0

    def next(self, function: Callable[..., Any]) -> Place:
        """The place of a call; the next one is counted from there."""
        place = Place(curve=self.curve, since=self.since, name=getattr(function, "__name__", ""))
        self.since += 1
        if curve_name(function) is not None:
            self.curve, self.since = self.curve + 1, 0
        return place


class Flow:
    """Follows the values that depend on the latents through a forward pass."""

    def __init__(self) -> None:
        """Begin before a pass."""
        self.steps: list[Step] = []
        self.places: dict[Hashable, Place] = {}  # of the call that makes a value
        self.shapes: dict[Hashable, tuple[int, ...]] = {}  # of the values
        self.read: dict[Hashable, Sequence[Hashable]] = {}  # by that call: of each tensor; None: constant
        self.counter = Counter()
        # By tensor, and not by id: memory that is freed is used again.
        self._values = WeakTensorKeyDictionary()
        self._n_values = 0

    def begin(self, latents: Iterable[Tensor]) -> None:
        """Begin the pass with what the network is given."""
        self.counter = Counter()
        for tensor in latents:
            self._name(tensor)

    def call(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Run a call, note what it reads and makes, and hand on what it returns."""
        place = self.counter.next(function)
        tensors = tensors_in(*args, kwargs)
        read = [self._values.get(tensor) for tensor in tensors]  # before any of them is overwritten
        shapes = {tensor.shape for tensor, value in zip(tensors, read, strict=True) if value is not None}
        is_moved = bool(tensors) and (is_move(function) or is_expansion(function))
        order = order_of(function, tensors[0], args, kwargs) if is_moved else SAME
        output = function(*args, **kwargs)
        moves = is_moved or is_reshape(function, args)
        operands = tuple(value for value in (read[:1] if moves else read) if value is not None)
        made = tensors[:1] if function_name(function) == "setitem" else tensors_in(output)
        for tensor in made if operands else ():
            value = self._name(tensor)
            # A smaller tensor would be broadcast.
            is_whole = tensor is output and (moves or shapes == {tensor.shape})
            self.steps.append(
                Step(
                    value=value,
                    operands=operands,
                    is_elementwise=is_whole and order is not None and (moves or is_elementwise(function, args)),
                    is_curve=curve_name(function) is not None,
                    order=order or SAME,
                )
            )
            self.places[value], self.read[value] = place, read
        return output

    def ends_in_features(self, shape: Sequence[int]) -> bool:
        """Whether the last axis of a tensor, which is made now, holds the features of a linear map for each token.

        The last map before tells it: a linear one, or a norm of features; behind a convolution channels come first.
        """
        for step in reversed(self.steps):
            name = self.places[step.value].name.strip("_")
            if step.order != SAME or name in _OF_CHANNELS:
                return False
            if name in _OF_FEATURES:
                made = self.shapes[step.value]
                return len(shape) > 2 and made[-1] == shape[-1] and math.prod(made) == math.prod(shape)
        return False

    def value(self, tensor: Tensor) -> Hashable | None:
        """The value that a tensor holds; None where it does not depend on the latents."""
        return self._values.get(tensor)

    def _name(self, tensor: Tensor) -> int:
        self._values[tensor] = self._n_values = self._n_values + 1
        self.shapes[self._n_values] = tuple(tensor.shape)
        return self._n_values
