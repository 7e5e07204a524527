# SPDX-License-Identifier: MIT
"""A set of a given error by a second-order model of the distance: many units change sides for few passes.

``completion`` tries single units, a pass each. Where a pass takes milliseconds that is what a user waits for. Here the
image gap is linear in the mask, around the set: r + J d. Random combinations of the rows of J, its sketch, say what
each unit changes and what two of them change alike. Units are picked one after the other by that model, and the first
one, two, four and so on are tried in truth. What no trial confirms is never taken.

Deviation from paper: as for ``completion``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from egbas.beropt.flips import doublings, each_flipped, errors_of, first_flipped
from egbas.beropt.objective import Objective

_ALIKE = 0.5  # of what the sketch says that two units change alike: it is noisy, and who picks the best picks noise
_PROGRESS = 1e-4  # a round that lowers the error by a smaller share of it is none; of 7,000 units a few do no more
_MOST_AT_ONCE = 128
_FEWEST_AT_ONCE = 8
_SHARE = 0.25  # of the set that changes sides in a round, at most
_SINGLES = 32
_SHORTLIST = 1024  # units that the model looks at in a round, the most promising ones


@dataclass(frozen=True, kw_only=True)
class Sketching:
    """How much is tried.

    Attributes:
        rows: of a sketch; each takes a pass back.
        reuse: rounds that share one; what units change alike hardly depends on the set.
        rounds: bound on them.
    """

    rows: int = 64
    reuse: int = 8
    rounds: int = 40


def grow(
    kept: Bool[Tensor, " candidates"],
    objective: Objective,
    error: float,
    effort: Sketching,
    *,
    free: Bool[Tensor, " candidates"] | None = None,
) -> Bool[Tensor, " candidates"]:
    """Change units until a set has a target error; as a rule they are added, some leave.

    Args:
        kept: the set to start from.
        objective: gives the distance of sets, and its sketch.
        error: that the set may have.
        effort: how much is tried.
        free: units that may change sides; None: all.

    Returns:
        A set whose error is at most that, or the most faithful one that was met.
    """
    model = _Model(objective, effort)
    may = torch.ones_like(kept) if free is None else free
    for _ in range(effort.rounds):
        now = model.look_at(kept)
        if now <= error:
            break
        better = _better(_first_ones(kept, model.helping(may, error)), now, objective, error)
        if better is None and model.is_fresh:
            better = _singles(kept, model.promising(may)[:_SINGLES], now, objective, error)
            if better is None:
                break
        if better is None:
            model.forget()
        else:
            kept = better
    return kept


def cut(
    kept: Bool[Tensor, " candidates"],
    objective: Objective,
    error: float,
    effort: Sketching,
    *,
    free: Bool[Tensor, " candidates"] | None = None,
) -> Bool[Tensor, " candidates"]:
    """Leave out units of a set as long as its error allows it.

    Args:
        kept: the set to start from, with that error at most.
        objective: as for ``grow``, and so are the others.
        error: that the set may have.
        effort: how much is tried.
        free: units that may leave; None: all.

    Returns:
        A part of the first set whose error is at most that.
    """
    model = _Model(objective, effort)
    for _ in range(effort.rounds):
        model.look_at(kept)
        order = model.leaving(kept if free is None else kept & free, error)
        sets = _first_ones(kept, order)
        fits = (errors_of(sets, objective.distance) <= error).nonzero()[:, 0] if len(sets) else order
        if len(fits):
            kept = sets[int(fits[-1])]
        elif model.is_fresh:
            break
        else:
            model.forget()
    return kept


def _first_ones(kept: Tensor, order: Tensor) -> Bool[Tensor, "sets candidates"]:
    """Sets in which the first unit, the first two, four and so on have changed sides."""
    return first_flipped(kept, order, doublings(len(order)) if len(order) else [])


def _better(sets: Tensor, now: float, objective: Objective, error: float) -> Tensor | None:
    """The first set that is faithful enough, or the most faithful one; None where none is better than now."""
    if not len(sets):
        return None
    errors = errors_of(sets, objective.distance)
    enough = (errors <= error).nonzero()[:, 0]
    at = int(enough[0]) if len(enough) else int(errors.argmin())
    return sets[at] if float(errors[at]) < (1 - _PROGRESS) * now else None


def _singles(kept: Tensor, units: Tensor, now: float, objective: Objective, error: float) -> Tensor | None:
    """Each unit tried by itself, and those that help together."""
    if not len(units):
        return None
    errors = errors_of(each_flipped(kept, units), objective.distance)
    ranked = errors.argsort()
    return _better(_first_ones(kept, units[ranked[errors[ranked] < now]]), now, objective, error)


class _Model:
    """||r + J d||^2 around a set: r exactly, J by its sketch, which serves some rounds."""

    def __init__(self, objective: Objective, effort: Sketching) -> None:
        self._objective, self._effort = objective, effort
        # Always the same signs: the set is to be one of the network and the query.
        self._rng = torch.Generator().manual_seed(0)
        self._columns = self._norms = self._slope = objective.tail.a.new_zeros(0)
        self._kept = torch.zeros(0, dtype=torch.bool)
        self._error, self._age = 0.0, effort.reuse

    @property
    def is_fresh(self) -> bool:
        """Whether the sketch is that of the set itself."""
        return self._age == 1

    def forget(self) -> None:
        """Make the sketch anew in the next round."""
        self._age = self._effort.reuse

    def look_at(self, kept: Bool[Tensor, " candidates"]) -> float:
        """Move to a set; its error."""
        is_new = self._age >= self._effort.reuse
        rows = self._effort.rows if is_new else 0
        self._error, self._slope, columns = self._objective.sketch(kept, rows, rng=self._rng)
        if is_new:
            self._columns, self._norms, self._age = columns, columns.square().sum(dim=0), 0
        self._kept = kept
        self._age += 1
        return self._error

    def promising(self, may: Bool[Tensor, " candidates"]) -> Int[Tensor, " units"]:
        """Units that may change sides, those first whose change lowers the error most."""
        change = 2 * self._slope * self._side() + self._norms
        return change.masked_fill(~may, math.inf).argsort()[: int(may.sum())]

    def helping(self, may: Bool[Tensor, " candidates"], error: float) -> Int[Tensor, " units"]:
        """Units picked one after the other, each lowering the error most, until it is reached or none lowers it."""
        return self._picked(may, lambda change, square: change >= 0 or square <= error * error, alike=_ALIKE)

    def leaving(self, may: Bool[Tensor, " candidates"], error: float) -> Int[Tensor, " units"]:
        """Units picked one after the other, each raising the error least, as long as it is kept; one at least."""
        return self._picked(may, lambda change, square: square + change > error * error, alike=1.0, at_least=1)

    def _side(self) -> Float[Tensor, " candidates"]:
        """What a unit's mask changes by: 1 where it would be added, -1 where it would leave."""
        return 1 - 2 * self._kept.to(self._slope)

    def _picked(
        self, may: Tensor, is_enough: Callable[[float, float], bool], *, alike: float, at_least: int = 0
    ) -> Int[Tensor, " units"]:
        most = min(max(_FEWEST_AT_ONCE, int(_SHARE * int(self._kept.sum()))), _MOST_AT_ONCE, int(may.sum()))
        short = self.promising(may)[:_SHORTLIST]
        slope, side, norms = self._slope[short], self._side()[short], self._norms[short]
        columns, square = self._columns[:, short], self._error**2
        closed = torch.zeros_like(slope)
        picked: list[int] = []
        for _ in range(most):
            lowest, unit = torch.min((2 * slope).mul_(side).add_(norms).add_(closed), dim=0)
            change, at = lowest.item(), int(unit)
            if len(picked) >= at_least and is_enough(change, square):
                break
            picked.append(at)
            square += change
            closed[at] = math.inf
            slope.add_(columns[:, at] @ columns, alpha=alike * float(side[at]))
        return short[torch.tensor(picked, dtype=torch.int64, device=may.device)]
