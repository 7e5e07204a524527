# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import CheckpointError
from egbas.zoo.containers.stored import Ledger, Sealed, StoredTensor, check_layout


def stored(values: torch.Tensor, ledger: Ledger | None = None) -> StoredTensor:
    return StoredTensor(
        shape=tuple(values.shape), dtype=values.dtype, read=lambda: values, ledger=ledger or Ledger(limit=10**6)
    )


def test_the_same_bytes_may_not_be_loaded_for_ever() -> None:
    tensor = stored(torch.zeros(10), Ledger(limit=100))
    tensor.load("x")
    tensor.load("x")
    with pytest.raises(CheckpointError, match="more than 100"):
        tensor.load("x")


def test_values_too_large_for_float32_are_refused() -> None:
    with pytest.raises(CheckpointError, match="'x' holds 1 values"):
        stored(torch.tensor([1.0, 1e300], dtype=torch.float64)).load("x")


def test_counters_are_whole_numbers() -> None:
    assert stored(torch.tensor(7)).load_counter() == 7
    for value in (torch.tensor(7.0), torch.tensor([7])):
        with pytest.raises(CheckpointError, match="whole number"):
            stored(value).load_counter()


@pytest.mark.parametrize(
    ("shape", "stride", "offset", "held"),
    [((2, 3), (3, 1), 0, 6), ((3, 2), (1, 3), 0, 6), ((2,), (2,), 1, 4), ((), (), 5, 6), ((0, 9), (9, 1), 0, 0)],
)
def test_shapes_that_fit(shape: tuple[int, ...], stride: tuple[int, ...], offset: int, held: int) -> None:
    assert check_layout(list(shape), stride, offset, held) == (shape, stride)


@pytest.mark.parametrize(
    ("shape", "stride", "offset", "held"),
    [
        ((2, 3), (3, 1), 0, 5),
        ((2, 3), (3, 1), 1, 6),
        ((), (), 6, 6),
        ((7,), (0,), 0, 6),
        ((2, 3), (3,), 0, 6),
        ((-1,), (1,), 0, 6),
        ((2,), (-1,), 0, 6),
        ((2,), (1,), -1, 6),
        ((True,), (1,), 0, 6),
        ((2.0,), (1,), 0, 6),
        ("23", (1, 1), 0, 6),
        ((1,) * 9, (1,) * 9, 0, 6),
        ((2**62,), (1,), 0, 6),
    ],
)
def test_shapes_that_do_not_fit(shape: object, stride: object, offset: object, held: int) -> None:
    with pytest.raises(CheckpointError):
        check_layout(shape, stride, offset, held)


def test_sealed_objects_take_no_state() -> None:
    with pytest.raises(CheckpointError, match="malicious"):
        Sealed().__setstate__({})
