# SPDX-License-Identifier: MIT
"""The tail f_{L:l+1} of one query: from a layer's output to the image (Algorithm 1 runs it in its loop)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.errors import NetworkError, ShapeError
from egbas.network.images import close
from egbas.network.layers import Layer


@dataclass(frozen=True, kw_only=True, eq=False)
class Tail:
    """What lies above a layer, for one query; call it with a (n, units) to get images (n, c, h, w).

    Differentiable with respect to a; the generator's parameters get no gradient. What reaches the image past
    the layer (skips) keeps the query's values.

    Attributes:
        layer: where the generator is split.
        z0: the query (d,).
        h: its pre-activation (units,), less the threshold where there is one: zero on the boundaries.
        a: its output of the non-linearity (units,), less what that makes of zero, which is what a masked unit gives:
            0 but for sigmoids, softplus and their like; the same as h for a module that is no non-linearity.
        x: its image (c, h, w) = G(z0).
        route: ``"graph"``: only what lies above the layer is computed; ``"hooks"``: the whole forward pass runs
            on the query, with the layer's output replaced.
    """

    layer: Layer
    z0: Tensor
    h: Tensor
    a: Tensor
    x: Tensor
    route: Literal["graph", "hooks"]
    run: Callable[[Tensor], Tensor] = field(repr=False)

    @property
    def is_active(self) -> Bool[Tensor, " units"]:
        """The units that can be kept: zero neither before nor after the non-linearity, so that they have a side."""
        return (self.a != 0) & (self.h != 0)

    def __call__(self, a: Tensor) -> Tensor:
        """Compute images (n, c, h, w) from outputs a (n, units) of the layer, counted as ``a`` is.

        Raises:
            ShapeError: a is not (n, units).
        """
        if a.ndim != 2 or a.shape[1] != self.layer.units:
            raise ShapeError(
                f"the tail of layer {self.layer.path!r} got a tensor of shape {tuple(a.shape)}; "
                f"expected (n, {self.layer.units}), one row for each mask"
            )
        return self.run(a.to(self.a))


class BackwardError(NetworkError):
    """A backward pass through the network fails, as it is run now."""


def keeping_copies(run: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same function, for networks that overwrite what a backward pass needs: ``y = relu(x); y += 1``.

    torch keeps copies of what it needs, instead of the tensors themselves; that takes memory and time.
    """

    def copying(a: Tensor) -> Tensor:
        with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda kept: kept):
            return run(a)

    return copying


def agrees(fast: Callable[[Tensor], Tensor], slow: Callable[[Tensor], Tensor], a0: Float[Tensor, " units"]) -> bool:
    """Whether two tails give the same images for masked outputs of the query, one and two at once, and gradients.

    This catches what a graph of the forward pass may get wrong: batch sizes burned in, in-place operations on
    tensors with two names, a layer counted wrongly.

    Raises:
        NetworkError: no gradient gets from the layer to the image by the slow tail, which is the true one.
        BackwardError: its backward pass raises.
    """
    one, two = masked(a0, 1), masked(a0, 2)
    expected = slow(one.requires_grad_())
    if not expected.requires_grad:
        raise NetworkError(
            "no gradient gets from the layer to the image: it does not feed the image, "
            "or forward runs under torch.no_grad(), detaches, or has gradient checkpoints with use_reentrant=True; "
            "choose another layer, or remove these from forward (use_reentrant=False)"
        )
    # Gradients of one, and one after the other: what backward passes need fills gigabytes at 1024 x 1024.
    try:
        slope = _gradient(expected, one)
    except RuntimeError as error:  # also what is not implemented
        if "memory" in str(error):
            return False
        raise BackwardError(
            f"a backward pass from the image to the layer fails ({first_line(error)}); BerOpt needs its gradient: "
            "turn gradient checkpointing off, give every autograd function a backward, or choose a layer above it"
        ) from error
    try:
        got = fast(one)
        if not (close(got, expected) and close(_gradient(got, one), slope, slack=10.0)):
            return False
        with torch.no_grad():
            return close(fast(two), slow(two))
    except Exception:  # a graph that does not fit its batch raises anything; the slow tail will do
        return False


def masked(a0: Float[Tensor, " units"], n: int) -> Float[Tensor, "n units"]:
    """Outputs of the query with half of the units at zero, the same for each n."""
    return (torch.rand(n, len(a0), generator=torch.Generator().manual_seed(n), dtype=torch.float32) < 0.5).to(
        a0.device
    ) * a0


def _gradient(x: Tensor, a: Tensor) -> Tensor:
    return torch.autograd.grad(x.square().sum(), a)[0]


def first_line(error: Exception) -> str:
    """What an error says first, or its name where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
