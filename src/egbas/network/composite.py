# SPDX-License-Identifier: MIT
"""Activations that are written out by hand: the calls from one pre-activation to one output, element by element.

``x * sigmoid(x)``, or GELU as ``0.5 * x * (1 + tanh(...))``: no single call is the non-linearity, all of them are.
A gate may be multiplied in on the way, as in a GEGLU without brackets: ``a * 0.5 * x * (1 + tanh(...))``.
In: the calls of a forward pass, or the nodes of its graph. Out: where each composite activation begins and ends.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from egbas.network.order import SAME, Order, behind


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call of a forward pass.

    Attributes:
        value: what it makes.
        operands: what it reads, of the values that depend on the latents.
        is_elementwise: whether each element of the value is made of the same element of each operand, in the order of
            ``flatten``, or in another one.
        is_curve: whether it is a non-linearity.
        order: in which the elements of its operand stand in it.
    """

    value: Hashable
    operands: tuple[Hashable, ...]
    is_elementwise: bool
    is_curve: bool
    order: Order = SAME


@dataclass(frozen=True, kw_only=True)
class Composite:
    """A composite activation.

    Attributes:
        start: its pre-activation, a value.
        first: the first value that is made of the pre-activation in it.
        end: its output.
        curves: the values of the non-linearities in it, in order.
        is_closed: whether nothing outside reads a value between the two, and the output's elements stand in the order
            of the pre-activation's: only then are they one function.
    """

    start: Hashable
    first: Hashable
    end: Hashable
    curves: tuple[Hashable, ...]
    is_closed: bool


_Ancestor = tuple[Hashable, Order]  # a value of which another is a function, and the order of its elements in that one


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A composite activation before it is known what reads it: the values after its start, in order."""

    start: Hashable
    end: Hashable
    inside: tuple[Hashable, ...]
    order: Order


def find_composites(steps: Sequence[Step]) -> list[Composite]:
    """Find the composite activations of a forward pass, each as large as it can be.

    A composite activation begins at a value, its pre-activation, that reaches its end in more than one way: past a
    non-linearity and through it. First come those that are functions of their pre-activation alone, then those in which
    something else has a part.
    """
    made = {step.value: step for step in steps}
    position = {value: number for number, value in enumerate(made)}
    parents = elementwise_parents(steps)
    found: list[_Found] = []
    for step in steps:
        if (ancestor := _start(step, parents)) is not None:
            found = _grown(found, ancestor, step, made, position)
    within = {value for one in found for value in one.inside}
    starts = {
        value: None
        for step in steps
        if step.is_curve and step.value not in within
        for value, _ in _line(step.value, parents)
        if value != step.value
    }
    for start in starts:
        found += _gated(start, steps[position.get(start, -1) + 1 :], made, position)
    readers: dict[Hashable, set[Hashable]] = {}
    for step in steps:
        for operand in step.operands:
            readers.setdefault(operand, set()).add(step.value)
    composites: list[Composite] = []
    taken: set[Hashable] = set()
    for one in found:
        start, end, inside = one.start, one.end, one.inside
        curves = tuple(value for value in inside if made[value].is_curve)
        if taken.isdisjoint(curves):  # one that shares a call with an earlier one leaves that not closed
            escaping = any(readers.get(value, set()) - set(inside) for value in inside if value != end)
            is_closed = not escaping and one.order == SAME
            composites.append(Composite(start=start, first=inside[0], end=end, curves=curves, is_closed=is_closed))
            taken.update(curves)
    return composites


def _start(step: Step, parents: Mapping[Hashable, _Ancestor | None]) -> _Ancestor | None:
    """Where a composite activation that ends in a step would begin; None where there is no such value."""
    if step.order == SAME:
        return parents.get(step.value)
    _, *above = _line(step.value, parents)
    return next((one for one in above if one[1] == SAME), None)  # what moves the elements moves them back, or nothing


def _grown(
    found: list[_Found], ancestor: _Ancestor, end: Step, made: dict[Hashable, Step], position: dict[Hashable, int]
) -> list[_Found]:
    """Those found so far, with the one that ends in a step, if it does; it takes in those that have a part in it."""
    start, order = ancestor
    is_back = end.order != SAME  # as x.mT * sigmoid(x.mT), put back by another mT
    if len(set(end.operands)) < 2 and not is_back:
        return found
    inside = _inside(end, start, made)
    curves = {value for value in inside if made[value].is_curve}
    whole = {value for one in found if one.order == SAME for value in one.inside}
    if not curves or (is_back and (curves <= whole or all(len(set(made[each].operands)) < 2 for each in inside))):
        return found
    kept = [one for one in found if one.end not in inside]
    return [
        *kept,
        _Found(start=start, end=end.value, inside=tuple(sorted(inside, key=position.__getitem__)), order=order),
    ]


def _gated(
    start: Hashable, steps: Sequence[Step], made: dict[Hashable, Step], position: dict[Hashable, int]
) -> list[_Found]:
    """Composite activations from ``start`` in which values that do not come from it have a part, such as a gate."""
    reached: dict[Hashable, Step] = {}  # from start element by element, without what does not come from there
    for step in steps:
        operands = tuple(value for value in step.operands if value == start or value in reached)
        if operands and step.is_elementwise:
            reached[step.value] = replace(step, operands=operands)
    parents = elementwise_parents(list(reached.values()))
    found: list[_Found] = []
    for step in reached.values():
        ancestor = _start(step, parents)
        if ancestor is not None and ancestor[0] == start:
            found = _grown(found, ancestor, step, reached, position)
    return found


def elementwise_parents(steps: Sequence[Step]) -> dict[Hashable, _Ancestor | None]:
    """For each value the nearest other one of which it is a function element by element; None where there is none.

    With it comes the order in which the elements of that one stand in the value.
    """
    parents: dict[Hashable, _Ancestor | None] = {}
    for step in steps:
        parents[step.value] = None
        if step.is_elementwise and step.operands:
            first, *others = set(step.operands)
            lines = [dict(_line(other, parents)) for other in others]
            common = (
                (value, order)
                for value, order in _line(first, parents)
                if all(each.get(value) == order for each in lines)
            )
            value, order = next(common, (None, SAME))
            moved = behind(step.order, order)
            parents[step.value] = None if value is None or moved is None else (value, moved)
    return parents


def _line(value: Hashable, parents: Mapping[Hashable, _Ancestor | None]) -> Iterator[_Ancestor]:
    """A value, the nearest one of which it is a function, and so on, each with the order of its elements."""
    order: Order | None = SAME
    ancestor: _Ancestor | None = (value, SAME)
    while ancestor is not None and (order := behind(order, ancestor[1])) is not None:
        yield ancestor[0], order
        ancestor = parents.get(ancestor[0])


def _inside(end: Step, start: Hashable, made: dict[Hashable, Step]) -> set[Hashable]:
    """The values on all ways from ``start``, which is not one of them, to ``end``, which is."""
    inside, waiting = {end.value}, [end]
    while waiting:
        for operand in waiting.pop().operands:
            if operand != start and operand not in inside:
                inside.add(operand)
                waiting.append(made[operand])
    return inside
