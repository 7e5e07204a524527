# SPDX-License-Identifier: MIT
"""Activations that are written out by hand: the calls from one pre-activation to one output, element by element.

``x * sigmoid(x)``, or GELU as ``0.5 * x * (1 + tanh(...))``: no single call is the non-linearity, all of them are.
In: the calls of a forward pass, or the nodes of its graph. Out: where each composite activation begins and ends.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call of a forward pass.

    Attributes:
        value: what it makes.
        operands: what it reads, of the values that depend on the latents.
        is_elementwise: whether each element of the value is made of the same element of each operand.
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


def find_composites(steps: Sequence[Step]) -> list[Composite]:
    """Find the composite activations of a forward pass, each as large as it can be.

    A composite activation begins at a value, its pre-activation, that reaches its end in more than one way: past a
    non-linearity and through it.
    """
    made = {step.value: step for step in steps}
    order = {value: position for position, value in enumerate(made)}
    parents = elementwise_parents(steps)
    found: list[tuple[Hashable, Hashable, list[Hashable]]] = []  # start, end, and the values after start, in order
    for step in steps:
        start = parents.get(step.value)
        if start is None or len(set(step.operands)) < 2:
            continue
        inside = _inside(step, start, made)
        if any(made[value].is_curve for value in inside):
            # A later end takes in the earlier ones, unless those have no part in it.
            found = [one for one in found if one[1] not in inside]
            found.append((start, step.value, sorted(inside, key=order.__getitem__)))
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


def elementwise_parents(steps: Sequence[Step]) -> dict[Hashable, Hashable | None]:
    """For each value the nearest other one of which it is a function element by element; None where there is none."""
    parents: dict[Hashable, Hashable | None] = {}

    def line(value: Hashable | None) -> Iterator[Hashable]:
        while value is not None:
            yield value
            value = parents.get(value)

    for step in steps:
        parents[step.value] = None
        if step.is_elementwise and step.operands:
            first, *others = set(step.operands)
            lines = [set(line(other)) for other in others]
            parents[step.value] = next((value for value in line(first) if all(value in each for each in lines)), None)
    return parents


def _inside(end: Step, start: Hashable, made: dict[Hashable, Step]) -> set[Hashable]:
    """The values on all ways from ``start``, which is not one of them, to ``end``, which is."""
    inside, waiting = {end.value}, [end]
    while waiting:
        for operand in waiting.pop().operands:
            if operand != start and operand not in inside:
                inside.add(operand)
                waiting.append(made[operand])
    return inside
