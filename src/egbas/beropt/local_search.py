# SPDX-License-Identifier: MIT
"""Local search at the end of BerOpt: single units flipped as long as the loss of the set (eq. 1) falls.

Deviation from paper: Algorithm 1 stops at theta. Its masks are noisy until the end, so that the thresholded set is
close to a local minimum of the loss, but rarely at one; now and then one missing unit costs a third of the image.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from egbas.beropt.flips import Distance, each_flipped, errors_of, first_flipped

# The flips that the gradient promises most are tried, so many at a time, so many times before the search gives up:
# on the embedded models that finds what trying all flips finds.
_TRIED_AT_ONCE = 32
_TRIES = 4
TRIED_IN_A_ROUND = (_TRIES + 1) * _TRIED_AT_ONCE  # masks, at most
ROUNDS = 100
_ROUNDING = 1e-6  # a smaller gain is none


def local_search(
    kept: Bool[Tensor, " units"],
    distance: Distance,
    price: float,
    *,
    rounds: int = ROUNDS,
    sizes: Int[Tensor, " units"] | None = None,
) -> Bool[Tensor, " units"]:
    """Flip units until no promising flip lowers distance(mask) + price * units kept.

    The gradient of the distance says which flips promise most; each of these is computed by itself. Of the good
    ones the best, the two best, the three best and so on are tried together, and the best of these sets is taken.

    Args:
        kept: the set to start from.
        distance: relative distances (masks,) of masks (masks, units), differentiable.
        price: of a unit, in units of the distance; > 0.
        rounds: bound on them; each tries up to 160 masks.
        sizes: what each counts for in the price, where entries of the mask are groups of units; None: one.

    Returns:
        A set whose loss is at most that of ``kept``.
    """
    loss = _loss(kept[None], distance, price, sizes).item()
    for _ in range(rounds):
        flips = _good_flips(kept, loss, distance, price, sizes)
        if len(flips) == 0:
            break
        sets = first_flipped(kept, flips, range(1, len(flips) + 1))
        losses = _loss(sets, distance, price, sizes)
        best = losses.argmin()
        if losses[best] >= loss:  # other batches round differently
            break
        kept, loss = sets[best], losses[best].item()
    return kept


def _good_flips(
    kept: Bool[Tensor, " units"], loss: float, distance: Distance, price: float, sizes: Tensor | None
) -> Int[Tensor, " flips"]:
    """Units whose flip alone lowers the loss, the best first; from the first handful that has any."""
    mask = kept[None].float().requires_grad_()
    each = price if sizes is None else price * sizes.to(torch.float32)
    slope = torch.autograd.grad(distance(mask).sum(), mask)[0][0] + each
    promise = torch.where(kept, slope, -slope)
    for units in promise.argsort(descending=True)[: _TRIED_AT_ONCE * _TRIES].split(_TRIED_AT_ONCE):
        losses = _loss(each_flipped(kept, units), distance, price, sizes)
        order = losses.argsort()
        good = losses[order] < loss - _ROUNDING
        if good.any():
            return units[order[good]]
    return promise.new_zeros(0, dtype=torch.int64)


def _loss(
    sets: Bool[Tensor, "sets units"], distance: Distance, price: float, sizes: Tensor | None
) -> Float[Tensor, " sets"]:
    counts = sets.sum(dim=1) if sizes is None else (sets * sizes).sum(dim=1)
    # A whole number times a Python float would have the default dtype, which is the caller's.
    return errors_of(sets, distance) + price * counts.to(torch.float32)
