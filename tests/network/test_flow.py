# SPDX-License-Identifier: MIT
import operator

import torch

from egbas.network.flow import Counter, Flow, Place


def test_places_are_counted_from_the_last_non_linearity() -> None:
    counter = Counter()
    places = [counter.next(function) for function in (torch.mul, torch.add, torch.tanh, torch.mul)]
    assert places == [
        Place(curve=0, since=0, name="mul"),
        Place(curve=0, since=1, name="add"),
        Place(curve=0, since=2, name="tanh"),
        Place(curve=1, since=0, name="mul"),
    ]


def test_values_are_followed_and_constants_are_not() -> None:
    flow, z, weight = Flow(), torch.ones(2, 3), torch.ones(3)
    flow.begin([z])
    flow.call(torch.exp, (weight,), {})
    h = flow.call(torch.mul, (z, weight), {})
    flow.call(torch.tanh, (h,), {})
    assert [(step.value, step.operands, step.is_elementwise, step.is_curve) for step in flow.steps] == [
        (2, (1,), True, False),
        (3, (2,), True, True),
    ]
    assert flow.places[2] == Place(curve=0, since=1, name="mul")
    assert flow.read[2] == [1, None]


def test_what_is_broadcast_is_not_element_by_element() -> None:
    flow, z = Flow(), torch.ones(2, 3)
    flow.begin([z])
    mean = flow.call(torch.mean, (z, 1, True), {})
    flow.call(torch.mul, (z, mean), {})
    assert [step.is_elementwise for step in flow.steps] == [False, False]


def test_a_tensor_that_is_overwritten_is_another_value() -> None:
    flow, z = Flow(), torch.ones(2, 3)
    flow.begin([z])
    flow.call(torch.relu_, (z,), {})
    flow.call(torch.neg, (z,), {})
    flow.call(operator.setitem, (z, 0, 1.0), {})
    flow.call(torch.neg, (z,), {})
    assert [step.operands for step in flow.steps] == [(1,), (2,), (2,), (4,)]


def test_parts_of_a_tensor_are_values_of_their_own() -> None:
    flow, z = Flow(), torch.ones(2, 4)
    flow.begin([z])
    left, right = flow.call(torch.chunk, (z, 2, 1), {})
    flow.call(torch.mul, (left, right), {})
    assert flow.steps[-1].operands == (2, 3)
