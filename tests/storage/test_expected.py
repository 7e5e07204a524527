# SPDX-License-Identifier: MIT
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from egbas.errors import RunDirectoryError
from egbas.storage.expected import (
    COUNT,
    NOT_NEGATIVE,
    NULL,
    NUMBER,
    OBJECT,
    POSITIVE,
    SEED,
    SHARE,
    SIZE,
    TEXT,
    Expected,
    Wanted,
    check_json,
    check_tensors,
    in_order,
    join,
    list_of,
    one_of,
    or_null,
    shown,
)

FILE = Path("metrics.json")


@pytest.mark.parametrize(
    ("expected", "good", "bad"),
    [
        (NUMBER, [0, -1.5, 10**300], [True, "1", None, float("nan"), float("inf"), 10**400, [1]]),
        (POSITIVE, [1e-300, 3], [0, -1, "x"]),
        (NOT_NEGATIVE, [0, 0.0, 2], [-1e-9, None]),
        (SHARE, [0, 0.5, 1], [1.1, -0.1, "0"]),
        (COUNT, [0, 5], [-1, 1.0, False, 2**63]),
        (SIZE, [1], [0, "1"]),
        (SEED, [0, 2**63 - 1], [-1, 2**63, 1.5, "x", None]),
        (TEXT, ["", "a"], [None, 1, ["a"]]),
        (NULL, [None], [0, "", {}]),
        (OBJECT, [{}, {"a": [1, None]}], [[], None, "x", {"a": float("nan")}]),
        (one_of(("a", "b")), ["a"], ["c", None, [], {}]),
        (or_null(SIZE), [None, 1], [0, "x"]),
        (list_of(SIZE), [[], [1, 2]], [[0], ["1"], None, "12", {}]),
        (list_of(SIZE, 2), [[1, 2]], [[], [1], [1, 2, 3], [1, "2"]]),
        (in_order("a", "b", "c"), [{"a": 1, "b": 1, "c": 2}, {"a": 1, "b": None, "c": 2}], [{"a": 2, "b": 3, "c": 1}]),
    ],
)
def test_values(expected: Expected, good: list[Any], bad: list[Any]) -> None:
    assert expected.words
    for value in good:
        check_json(FILE, value, expected, "here")
    for value in bad:
        with pytest.raises(RunDirectoryError, match=r"metrics\.json is damaged: here is .*; expected"):
            check_json(FILE, value, expected, "here")


TABLE = {"a": {"b": SIZE, "c?": TEXT}, "d?": {"*": COUNT}, "e?": [OBJECT, {"f": SIZE}]}


@pytest.mark.parametrize(
    "value",
    [
        {"a": {"b": 1}},
        {"a": {"b": 1, "c": None}, "d": None, "unknown": object()},
        {"a": {"b": 1, "c": "x"}, "d": {}, "e": {"f": 1}},
        {"a": {"b": 1}, "d": {"x": 0, "y": 2}},
    ],
)
def test_tables(value: Any) -> None:
    check_json(FILE, value, TABLE)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "a is missing; expected an object"),
        ({"a": 3}, "a is 3; expected an object"),
        ({"a": {}}, r"a\.b is missing; expected an integer"),
        ({"a": {"b": None}}, r"a\.b is None"),
        ({"a": {"b": 1, "c": 2}}, r"a\.c is 2; expected a text"),
        ({"a": {"b": 1}, "d": {"x": 0, "y": -2}}, r"d\.y is -2"),
        ({"a": {"b": 1}, "d": []}, r"d is \[\]; expected an object"),
        ({"a": {"b": 1}, "e": {}}, r"e\.f is missing"),
    ],
)
def test_a_table_says_where(value: Any, words: str) -> None:
    with pytest.raises(RunDirectoryError, match=words):
        check_json(FILE, value, TABLE)


def test_long_values_are_cut() -> None:
    with pytest.raises(RunDirectoryError) as told:
        check_json(FILE, {"a": list(range(100_000))}, TABLE)
    assert len(str(told.value)) < 300


ROWS = {
    "z": Wanted("n d"),
    "chain": Wanted("n", (torch.int64,), "0 each", lambda v: bool((v == 0).all())),
    "x?": Wanted("k"),
}
TENSORS = {"z": torch.zeros(3, 2), "chain": torch.zeros(3, dtype=torch.int64)}


def test_tensors_fill_in_the_sizes() -> None:
    sizes = {"d": 2}
    check_tensors(FILE, TENSORS, ROWS, sizes)
    assert sizes == {"d": 2, "n": 3}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"z": torch.zeros(3, 4)}, r"z is of shape \(3, 4\); expected shape \(3, 2\)"),
        ({"z": torch.zeros(3)}, r"z is of shape \(3,\); expected shape \(n, 2\)"),
        ({"z": torch.tensor([[0.0, torch.nan]])}, r"z is \[0, nan\]; expected finite numbers"),
        ({"z": torch.zeros(3, 2).bool()}, "z is bool; expected float16 or bfloat16"),
        ({"chain": torch.zeros(2, dtype=torch.int64)}, r"chain is of shape \(2,\); expected shape \(3,\)"),
        ({"chain": torch.zeros(3)}, "chain is float32; expected int64"),
        ({"chain": torch.arange(3)}, r"chain is \[0, 1, 2\]; expected 0 each"),
        ({"x": torch.zeros(1, 1)}, r"x is of shape \(1, 1\); expected shape \(k,\)"),
    ],
)
def test_another_tensor_is_told(change: dict[str, Tensor], words: str) -> None:
    with pytest.raises(RunDirectoryError, match=words):
        check_tensors(FILE, TENSORS | change, ROWS, {"d": 2})


def test_a_missing_tensor_is_told() -> None:
    with pytest.raises(RunDirectoryError, match=r"chain is missing; expected a tensor \(n\)"):
        check_tensors(FILE, {"z": TENSORS["z"]}, ROWS, {"d": 2})


def test_tensors_are_shown_in_short() -> None:
    assert shown(torch.tensor([1, -2])) == "[1, -2]"
    assert shown(torch.arange(100)) == "[0, 1, 2, 3, 4, 5, ...], from 0 to 99"


def test_keys_are_joined() -> None:
    assert join("", "a", "b") == "a.b"
