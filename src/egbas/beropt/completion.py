# SPDX-License-Identifier: MIT
"""From a set to one of a given error: units are added until it is faithful enough, and left out as long as it stays so.

Deviation from paper: Algorithm 1 has a weight for the size of the set, and the error follows; here the error is given,
and the set is to be as small as it can be (Definition 6).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from egbas.beropt.flips import Distance, doublings, each_flipped, errors_of, first_flipped

_TRIED_AT_ONCE = 32
_FEWEST_TOGETHER = 4


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is tried.

    Attributes:
        rounds: bound on those that add units, and on those that leave units out.
        share: of the set that is added or left out in a round, at most.
        tries: handfuls of 32 single units that are tried where no few of them together will do.
        joins: whether of the single units that help the best, the two best and so on are added together, not the best
            alone: fewer passes, and another set.
    """

    rounds: int = 100
    share: float = 0.1
    tries: int = 4
    joins: bool = False


def build_up(
    kept: Bool[Tensor, " units"],
    distance: Distance,
    error: float,
    effort: Effort,
    *,
    sizes: Int[Tensor, " units"] | None = None,
) -> Bool[Tensor, " units"] | None:
    """Add units to a set until it has a target error.

    The gradient of the distance says which units promise most. Of these the best, the two best, the four best and so
    on are tried together; then the gradient is asked again.

    Args:
        kept: the set to start from.
        distance: relative distances (masks,) of masks (masks, units), differentiable.
        error: that the set may have.
        effort: how much is tried.
        sizes: how many units each entry of the mask stands for, where these are groups; None: one.

    Returns:
        A set that holds the first one and whose error is at most that; None where no promising unit helps any more.
    """
    left = effort.rounds
    while (now := errors_of(kept[None], distance).item()) > error:
        more = _with_more(kept, now, distance, error, effort, sizes) if left > 0 and not bool(kept.all()) else None
        if more is None:
            return None
        kept, left = more, left - 1
    return kept


def cut_down(
    kept: Bool[Tensor, " units"],
    distance: Distance,
    error: float,
    effort: Effort,
    *,
    core: Bool[Tensor, " units"] | None = None,
    sizes: Int[Tensor, " units"] | None = None,
) -> Bool[Tensor, " units"]:
    """Leave out units of a set as long as its error allows it, those first whose gradient says that they matter least.

    Args:
        kept: the set to start from, with that error at most.
        distance: as for ``build_up``.
        error: that the set may have.
        effort: how much is tried.
        core: units that stay; None: none has to.
        sizes: as for ``build_up``.

    Returns:
        A part of the first set whose error is at most that. Of the units that were tried last, none can go alone.
    """
    for _ in range(effort.rounds):
        fewer = _with_fewer(kept, distance, error, effort, core, sizes)
        if fewer is None:
            break
        kept = fewer
    return kept


def _with_more(
    kept: Tensor, now: float, distance: Distance, error: float, effort: Effort, sizes: Tensor | None
) -> Tensor | None:
    """Add the fewest of the most promising units that suffice, or those that help most; None where none help."""
    order = _slope(kept, distance, sizes).masked_fill(kept, torch.inf).argsort()[: int((~kept).sum())]
    sets = first_flipped(kept, order, doublings(_most(kept, order, effort)))
    errors = errors_of(sets, distance)
    if not bool((errors < now).any()) and effort.tries:
        sets = each_flipped(kept, order[: _TRIED_AT_ONCE * effort.tries])
        errors = errors_of(sets, distance)
        if effort.joins:
            ranked = errors.argsort()
            helpful = order[ranked[errors[ranked] < now]]
            sets = torch.cat([sets, first_flipped(kept, helpful, doublings(len(helpful)))])
            errors = torch.cat([errors, errors_of(sets[len(errors) :], distance)])
    if not bool((errors < now).any()):
        return None
    enough = (errors <= error).nonzero()[:, 0]  # the sets grow from the first to the last
    return sets[int(enough[0]) if len(enough) else int(errors.argmin())]


def _with_fewer(
    kept: Tensor, distance: Distance, error: float, effort: Effort, core: Tensor | None, sizes: Tensor | None
) -> Tensor | None:
    """Leave out as many units as the error allows; None where no single one can go."""
    may_go = kept if core is None else kept & ~core
    order = _slope(kept, distance, sizes).masked_fill(~may_go, -torch.inf).argsort(descending=True)[: int(may_go.sum())]
    if not len(order):
        return None
    fits = _last(first_flipped(kept, order, doublings(_most(kept, order, effort))), distance, error)
    if fits is not None:
        return fits
    for some in order[: _TRIED_AT_ONCE * effort.tries].split(_TRIED_AT_ONCE):
        errors = errors_of(each_flipped(kept, some), distance)
        ranked = errors.argsort()
        free = some[ranked[errors[ranked] <= error]]
        if len(free):
            return _last(first_flipped(kept, free, list(range(1, len(free) + 1))), distance, error)
    return None


def _last(sets: Tensor, distance: Distance, error: float) -> Tensor | None:
    """The last of some sets that is faithful enough; None where none is."""
    fits = (errors_of(sets, distance) <= error).nonzero()[:, 0]
    return sets[int(fits[-1])] if len(fits) else None


def _most(kept: Tensor, order: Tensor, effort: Effort) -> int:
    """How many units are flipped in a round at most."""
    return min(max(int(effort.share * int(kept.sum())), _FEWEST_TOGETHER), len(order))


def _slope(kept: Tensor, distance: Distance, sizes: Tensor | None) -> Float[Tensor, " units"]:
    """Of the distance by each entry of the mask, for one of its units."""
    mask = kept[None].float().requires_grad_()
    with torch.enable_grad():
        slope = torch.autograd.grad(distance(mask).sum(), mask)[0][0]
    return slope if sizes is None else slope / sizes
