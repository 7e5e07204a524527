# SPDX-License-Identifier: MIT
"""Simple rankings of a layer's units: the rivals of BerOpt's supporting set (Definition 6).

In: the tail of a network at a query. Out: orders of the units, and how faithful or how large the sets of the
first k units are. The relative distance is BerOpt's: ||f_{L:l+1}(h0 * m) - G(z0)|| / ||G(z0)||.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egbas.errors import ConfigError, NetworkError
from egbas.network import Tail

LARGEST = "largest"
GRADIENT_IMAGE = "gradient (image)"
GRADIENT_EMPTY = "gradient (empty set)"
GRADIENT_PATH = "gradient (path)"
GRADIENT_QUERY = "gradient (query)"

ROUNDING = 1e-5  # smaller differences are none: the same set may round differently in another batch

_BATCH = 64
_PATH_POINTS = 32


def largest_output(tail: Tail) -> Float[Tensor, " units"]:
    """Score units by |a|, their output at the query; for active ReLU units it is the pre-activation, too."""
    return tail.a.abs()


def image_gradient(tail: Tail) -> Float[Tensor, " units"]:
    """Score units by |gradient x activation| of ||x||^2 at the query."""
    return _masked_gradients(tail, torch.ones(1, dtype=torch.float32), lambda x: x.square().sum())[0].abs()


def empty_gradient(tail: Tail) -> Float[Tensor, " units"]:
    """Score units by |gradient x activation| of the squared distance ||x - G(z0)||^2 where no unit is kept.

    The gradient is by the mask m of a * m; at the query itself, m = 1, that of the squared distance is zero.
    """
    return _masked_gradients(tail, torch.zeros(1, dtype=torch.float32), lambda x: (x - tail.x).square().sum())[0].abs()


def path_gradient(tail: Tail) -> Float[Tensor, " units"]:
    """Score units by the same gradient, averaged along m = t from 0 to 1 (integrated gradients)."""
    middles = (torch.arange(_PATH_POINTS, dtype=torch.float32) + 0.5) / _PATH_POINTS
    return _masked_gradients(tail, middles, lambda x: (x - tail.x).square().sum()).mean(dim=0).abs()


def query_gradient(tail: Tail) -> Float[Tensor, " units"]:
    """Score units by the one-sided derivative of the distance ||x - G(z0)|| at the query, by the unit's mask.

    The distance has a kink at the query: whichever way the mask of unit i moves, it rises at the rate ||a_i dx/da_i||.
    Takes one backward pass for every value of the image.
    """
    squares = torch.zeros_like(tail.a)
    for pixels in torch.arange(tail.x.numel(), device=tail.a.device).split(_BATCH):
        a = tail.a.expand(len(pixels), -1).clone().requires_grad_()
        x = tail(a).flatten(1)  # (pixels, values)
        rows = torch.autograd.grad(x.gather(1, pixels[:, None]).sum(), a)[0]  # of the Jacobian
        squares += rows.square().sum(dim=0)
    return squares.sqrt() * tail.a.abs()


RANKINGS: dict[str, Callable[[Tail], Tensor]] = {
    LARGEST: largest_output,
    GRADIENT_IMAGE: image_gradient,
    GRADIENT_EMPTY: empty_gradient,
    GRADIENT_PATH: path_gradient,
    GRADIENT_QUERY: query_gradient,
}


def ranked(tail: Tail, name: str) -> Int[Tensor, " active"]:
    """Order the units that are not zero at the query, the first by this ranking first.

    Units that are zero cannot change the image; no ranking is charged with them. Equal scores stay in the order
    of the layer.

    Raises:
        ConfigError: there is no such ranking.
    """
    if name not in RANKINGS:
        raise ConfigError(f"no ranking is called {name!r}; there are: {', '.join(RANKINGS)}")
    scores = RANKINGS[name](tail)
    active = tail.a.nonzero()[:, 0]
    return active[scores[active].argsort(descending=True, stable=True)]


def shuffled(tail: Tail, *, rng: torch.Generator) -> Int[Tensor, " active"]:
    """Order the units that are not zero at the query at random; rng is a CPU generator."""
    active = tail.a.nonzero()[:, 0]
    return active[torch.randperm(len(active), generator=rng).to(active.device)]


@torch.no_grad()
def fidelities(tail: Tail, order: Int[Tensor, " ordered"], sizes: Int[Tensor, " sizes"]) -> Float[Tensor, " sizes"]:
    """Relative distance that the first k units of an order leave, for every k; 0 is perfect.

    Args:
        tail: the network above the layer, at the query.
        order: different units of the layer.
        sizes: the k, each from 0 to the length of the order.

    Raises:
        ConfigError: a size is out of range.
        NetworkError: the query's image is zero everywhere.
    """
    norm = tail.x.norm()
    if not norm > 0:
        raise NetworkError("the query's image is zero everywhere; relative distances need its norm")
    if len(sizes) and not (sizes.min() >= 0 and sizes.max() <= len(order)):
        raise ConfigError(f"sizes {sizes.min()} to {sizes.max()} of an order of {len(order)} units; expected 0 to all")
    rank = torch.full_like(tail.a, math.inf)
    rank[order] = torch.arange(len(order), device=tail.a.device).to(rank)
    distances = [tail.x.new_zeros(0)]
    for some in sizes.to(tail.a.device).split(_BATCH):
        a = torch.where(rank < some[:, None], tail.a, torch.zeros_like(tail.a))  # (sizes, units)
        distances.append((tail(a) - tail.x).flatten(1).norm(dim=1) / norm)
    return torch.cat(distances).cpu()


def fidelity_of(tail: Tail, order: Int[Tensor, " ordered"], size: int) -> float:
    """Relative distance that the first ``size`` units of an order leave; see ``fidelities``."""
    return fidelities(tail, order, torch.tensor([size], dtype=torch.int64)).item()


def smallest_size(tail: Tail, order: Int[Tensor, " ordered"], fidelity: float) -> int:
    """Find the smallest k whose first k units leave at most this relative distance.

    The distance does not fall steadily with k, so every k is tried from 0 upwards; the first that holds counts, even
    if a larger k fails again. Distances that differ by less than ``ROUNDING`` are equal.

    Raises:
        ConfigError: not even all units of the order are that faithful.
    """
    sizes = torch.arange(len(order) + 1)
    for some in sizes.split(_BATCH):
        faithful = some[fidelities(tail, order, some) <= fidelity + ROUNDING]
        if len(faithful):
            return int(faithful[0])
    raise ConfigError(
        f"all {len(order)} units of the order leave a relative distance above {fidelity:.3g}; "
        "give an order of all active units"
    )


def _masked_gradients(
    tail: Tail, masks: Float[Tensor, " points"], loss: Callable[[Tensor], Tensor]
) -> Float[Tensor, "points units"]:
    """Gradients of a sum over images by the mask of every unit, where all masks have one value."""
    a = (masks.to(tail.a)[:, None] * tail.a).requires_grad_()  # (points, units)
    return torch.autograd.grad(loss(tail(a)), a)[0] * tail.a
