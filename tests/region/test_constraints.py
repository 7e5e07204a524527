# SPDX-License-Identifier: MIT
import torch
from torch import Tensor

from egbas.region.constraints import (
    AffineConstraints,
    FunctionConstraints,
    JoinedConstraints,
    ShiftedConstraints,
    violations,
)

Z = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [3.0, -4.0]])
V = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])


def square(z: Tensor) -> Tensor:
    return z.square()


FUNCTION = FunctionConstraints(function=square, scale=torch.tensor([1.0, 2.0]), at_once=2)
BOX = AffineConstraints.of_box(torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 2.0]))


def test_margins_of_a_function_are_scaled() -> None:
    expected = Z.square() / torch.tensor([1.0, 2.0])
    torch.testing.assert_close(FUNCTION.margins(Z), expected)
    margins, pull = FUNCTION.vjp(Z)
    torch.testing.assert_close(margins, expected)
    torch.testing.assert_close(pull(torch.ones(3, 2)), Z * torch.tensor([2.0, 1.0]))


def test_walls_of_a_box() -> None:
    inside = (BOX.margins(Z) >= 0).all(dim=1)
    assert inside.tolist() == [True, True, False]
    torch.testing.assert_close(BOX.vjp(Z)[1](V), V @ BOX.weight)


def test_joined_constraints_are_those_of_all_parts() -> None:
    joined = JoinedConstraints(parts=[FUNCTION, FUNCTION])
    margins, pull = joined.vjp(Z)
    assert margins.shape == (3, 4)
    torch.testing.assert_close(margins, joined.margins(Z))
    torch.testing.assert_close(pull(torch.ones(3, 4)), 2 * FUNCTION.vjp(Z)[1](torch.ones(3, 2)))


def test_shifted_constraints_are_looser() -> None:
    shifted = ShiftedConstraints(inner=FUNCTION, level=-1.5)
    torch.testing.assert_close(shifted.margins(Z), FUNCTION.margins(Z) + 1.5)
    torch.testing.assert_close(shifted.vjp(Z)[0], FUNCTION.margins(Z) + 1.5)


def test_violations() -> None:
    assert violations(torch.tensor([[-2.0, 0.5]])).tolist() == [[2.0, 0.0]]
    assert violations(torch.tensor([[-2.0, 0.5]]), 1.0).tolist() == [[3.0, 0.5]]
