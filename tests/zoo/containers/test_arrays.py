# SPDX-License-Identifier: MIT
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from egbas.errors import CheckpointError
from egbas.zoo.containers import arrays
from egbas.zoo.containers.arrays import Array, Dtype, Encoded
from egbas.zoo.containers.standins import Inert
from egbas.zoo.containers.stored import Ledger
from egbas.zoo.containers.unpickle import unpickle

LEDGER = Ledger(limit=10**6)


def load(value: object, protocol: int) -> Any:
    return unpickle(io.BytesIO(pickle.dumps(value, protocol)), arrays.NAMES)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("code", ["f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (2, 3, 4)])
def test_arrays_come_back(shape: tuple[int, ...], code: str, protocol: int) -> None:
    value = np.arange(np.prod(shape, dtype=int), dtype=code).reshape(shape)
    for made in (value, value.T, np.asfortranarray(value)):
        found = load(made, protocol).stored(LEDGER)
        assert found.shape == made.shape
        assert torch.equal(found.load("x"), torch.from_numpy(made.astype("f4")))


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_empty_arrays_come_back(protocol: int) -> None:
    for shape in ((0,), (2, 0)):
        assert load(np.zeros(shape, "f4"), protocol).stored(LEDGER).load("x").shape == shape


def test_strings_of_python_2_are_bytes() -> None:
    array = Array()
    array.__setstate__((1, (2,), dtype("f4"), False, np.float32([1, 2]).tobytes().decode("latin1")))
    assert array.stored(LEDGER).load("x").tolist() == [1, 2]


def dtype(code: object, order: object = "<") -> Dtype:
    made = Dtype(code, False, True)
    assert isinstance(made, Dtype)
    made.__setstate__((3, order, None, None, None, -1, -1, 0))
    return made


@pytest.mark.parametrize(
    "state",
    [
        None,
        (1, (2,), dtype("f4"), False),
        (1, (2,), "f4", False, bytes(8)),
        (1, (2,), dtype("f4"), False, bytes(4)),
        (1, (2,), dtype("f4"), False, bytes(12)),
        (1, (2,), dtype("f4"), False, bytes(9)),
        (1, (2,), dtype("f4"), False, None),
        (1, (2,), dtype("f4"), False, ["a", "b"]),
        (1, (2,), dtype("f4"), False, "\u0180" * 8),
        (1, (2,), dtype("f4"), False, Encoded()),
        (1, (2,), dtype("f4"), False, Encoded("\u0180" * 8, "latin1")),
        (1, [2], dtype("f4"), False, bytes(8)),
        (1, (-2,), dtype("f4"), False, bytes(8)),
        (1, ("2",), dtype("f4"), False, bytes(8)),
        (1, (2,), dtype("f4", ">"), False, bytes(8)),
        (1, (1,), dtype("O8"), False, bytes(8)),
        (1, (1,), dtype("V8"), False, bytes(8)),
        (1, (1,), dtype(None), False, bytes(8)),
    ],
)
def test_states_that_contradict_themselves_are_refused(state: Any) -> None:
    array = Array()
    array.__setstate__(state)
    with pytest.raises(CheckpointError):
        array.stored(LEDGER)  # pyright: ignore[reportAttributeAccessIssue]


def test_scalars_and_objects_are_inert() -> None:
    assert type(load(np.float64(3.0), 2)) is Inert
    with pytest.raises(CheckpointError):
        load(np.array([{}], dtype=object), 2).stored(LEDGER)
