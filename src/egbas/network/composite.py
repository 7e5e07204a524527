# SPDX-License-Identifier: MIT
"""Activations that are written out by hand: the calls from one pre-activation to one output, element by element.

``x * sigmoid(x)``, or GELU as ``0.5 * x * (1 + tanh(...))``: no single call is the non-linearity, all of them are.
A gate may be multiplied in on the way, as in a GEGLU without brackets: ``a * 0.5 * x * (1 + tanh(...))``.
In: the calls of a forward pass, or the nodes of its graph. Out: where each composite activation begins and ends.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call of a forward pass.

    Attributes:
        value: what it makes.
        operands: what it reads, of the values that depend on the latents.
        is_elementwise: whether each element of the value is made of the same element of each operand, in the order of
            ``flatten``.
        is_curve: whether it is a non-linearity.
    """

    value: Hashable
    operands: tuple[Hashable, ...]
    is_elementwise: bool
    is_curve: bool


@dataclass(frozen=True, kw_only=True)
class Composite:
    """A composite activation.

    Attributes:
        start: its pre-activation, a value.
        first: the first value that is made of the pre-activation in it.
        end: its output.
        curves: the values of the non-linearities in it, in order.
        is_closed: whether nothing outside reads a value between the two: only then are they one function.
    """

    start: Hashable
    first: Hashable
    end: Hashable
    curves: tuple[Hashable, ...]
    is_closed: bool


_Found = tuple[Hashable, Hashable, list[Hashable]]  # start, end, and the values after start, in order


def find_composites(steps: Sequence[Step]) -> list[Composite]:
    """Find the composite activations of a forward pass, each as large as it can be.

    A composite activation begins at a value, its pre-activation, that reaches its end in more than one way: past a
    non-linearity and through it. First come those that are functions of their pre-activation alone, then those in which
    something else has a part.
    """
    made = {step.value: step for step in steps}
    order = {value: position for position, value in enumerate(made)}
    parents = elementwise_parents(steps)
    found: list[_Found] = []
    for step in steps:
        start = parents.get(step.value)
        if start is not None:
            found = _grown(found, start, step, made, order)
    within = {value for _, _, inside in found for value in inside}
    starts = {
        value: None
        for step in steps
        if step.is_curve and step.value not in within
        for value in _line(parents.get(step.value), parents)
    }
    for start in starts:
        found += _gated(start, steps[order.get(start, -1) + 1 :], made, order)
    readers: dict[Hashable, set[Hashable]] = {}
    for step in steps:
        for operand in step.operands:
            readers.setdefault(operand, set()).add(step.value)
    composites: list[Composite] = []
    taken: set[Hashable] = set()
    for start, end, inside in found:
        curves = tuple(value for value in inside if made[value].is_curve)
        if taken.isdisjoint(curves):  # one that shares a call with an earlier one leaves that not closed
            escaping = any(readers.get(value, set()) - set(inside) for value in inside if value != end)
            composites.append(Composite(start=start, first=inside[0], end=end, curves=curves, is_closed=not escaping))
            taken.update(curves)
    return composites


def _grown(
    found: list[_Found], start: Hashable, end: Step, made: dict[Hashable, Step], order: dict[Hashable, int]
) -> list[_Found]:
    """Those found so far, with the one that ends in a step, if it does; it takes in those that have a part in it."""
    if len(set(end.operands)) < 2:
        return found
    inside = _inside(end, start, made)
    if not any(made[value].is_curve for value in inside):
        return found
    kept = [one for one in found if one[1] not in inside]
    return [*kept, (start, end.value, sorted(inside, key=order.__getitem__))]


def _gated(
    start: Hashable, steps: Sequence[Step], made: dict[Hashable, Step], order: dict[Hashable, int]
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
        if parents[step.value] == start:
            found = _grown(found, start, step, reached, order)
    return found


def elementwise_parents(steps: Sequence[Step]) -> dict[Hashable, Hashable | None]:
    """For each value the nearest other one of which it is a function element by element; None where there is none."""
    parents: dict[Hashable, Hashable | None] = {}
    for step in steps:
        parents[step.value] = None
        if step.is_elementwise and step.operands:
            first, *others = set(step.operands)
            lines = [set(_line(other, parents)) for other in others]
            common = (value for value in _line(first, parents) if all(value in each for each in lines))
            parents[step.value] = next(common, None)
    return parents


def _line(value: Hashable | None, parents: Mapping[Hashable, Hashable | None]) -> Iterator[Hashable]:
    """A value, the nearest one of which it is a function, and so on."""
    while value is not None:
        yield value
        value = parents.get(value)


def _inside(end: Step, start: Hashable, made: dict[Hashable, Step]) -> set[Hashable]:
    """The values on all ways from ``start``, which is not one of them, to ``end``, which is."""
    inside, waiting = {end.value}, [end]
    while waiting:
        for operand in waiting.pop().operands:
            if operand != start and operand not in inside:
                inside.add(operand)
                waiting.append(made[operand])
    return inside
