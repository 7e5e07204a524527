# SPDX-License-Identifier: MIT
"""The checks of types and shapes are on, and see what they should."""

import gc
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jaxtyping
import pytest
import torch
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from egbas.beropt.descent import polarisation
from egbas.latent import LatentSpace
from tests.typechecks import checked

if TYPE_CHECKING:
    from nowhere import Unknown  # pyright: ignore[reportMissingImports]


@checked
def product(a: Float[Tensor, "n k"], b: Float[Tensor, "k m"], *, scale: float = 1.0) -> Float[Tensor, "n m"]:
    return scale * a @ b if scale else a


@checked
@dataclass(frozen=True)
class Pair:
    a: Float[Tensor, " n"]
    b: Float[Tensor, " n"]

    @property
    @checked
    def first(self) -> int:
        return "no"  # type: ignore[return-value]

    @classmethod
    @checked
    def of(cls, a: Float[Tensor, " n"]) -> "Pair":
        return cls(a, a)


ONE, TWO = torch.ones(2, 3), torch.ones(3, 4)


def test_what_is_right_goes_through() -> None:
    assert product(ONE, TWO, scale=2.0).tolist() == (2 * ONE @ TWO).tolist()
    assert Pair.of(torch.ones(2)).b.tolist() == [1.0, 1.0]
    assert product.__name__ == "product" and product.__doc__ is None


def test_types_shapes_and_what_comes_back_are_checked() -> None:
    with pytest.raises(TypeCheckError, match="parameter a="):
        product(ONE[0], TWO)
    with pytest.raises(TypeCheckError, match="parameter b="):
        product(ONE, ONE)  # k is 3 and 2
    with pytest.raises(TypeCheckError, match="parameter scale="):
        product(ONE, TWO, scale="2")  # type: ignore[arg-type]
    with pytest.raises(TypeCheckError, match="return"):
        product(ONE, TWO, scale=0.0)  # n m is not n k
    with pytest.raises(TypeCheckError, match="parameter b="):
        Pair(torch.ones(2), torch.ones(3))
    with pytest.raises(TypeCheckError, match="return"):
        _ = Pair(torch.ones(2), torch.ones(2)).first


def test_letters_are_of_one_call() -> None:
    @checked
    def outer(a: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        inner(torch.ones(len(a) + 1))
        return a

    @checked
    def inner(a: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        return a

    assert len(outer(torch.ones(3))) == 3
    with pytest.raises(TypeCheckError):
        outer(torch.ones(3, 3))
    assert len(outer(torch.ones(2))) == 2  # also after an error


def test_what_only_type_checkers_import_is_anything() -> None:
    @checked
    def of(a: "Unknown", b: int) -> "Unknown":
        return a

    assert of("x", 1) == "x"
    with pytest.raises(TypeCheckError):
        of("x", "y")  # type: ignore[arg-type]


def test_what_a_nested_function_holds_goes_with_it() -> None:
    class Held: ...

    def hold() -> weakref.ref[Held]:
        held = Held()

        @checked
        def inner(n: int) -> int:
            return n if held else 0

        assert inner(3) == 3
        return weakref.ref(held)

    gc.disable()
    try:
        assert hold()() is None  # no cycle keeps it
    finally:
        gc.enable()


def test_they_are_on_for_egbas_and_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jaxtyping.jaxtyped is checked
    with pytest.raises(TypeCheckError):
        polarisation(torch.ones(2, 2))
    with pytest.raises(TypeCheckError):
        LatentSpace(shape="three")  # type: ignore[arg-type]
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    assert polarisation(torch.ones(2, 2)) == 1.0
