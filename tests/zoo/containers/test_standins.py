# SPDX-License-Identifier: MIT
import pytest

from egbas.errors import CheckpointError
from egbas.zoo.containers.standins import (
    HOSTILE_BUILTINS,
    HOSTILE_MODULES,
    MAX_KEPT,
    Foreign,
    Unordered,
    asks_for_code,
    foreign,
    refuse_odd_keys,
)


def test_an_object_of_an_unknown_class_keeps_its_name_arguments_and_state() -> None:
    kind = foreign("pandas.core.frame", "DataFrame")
    made = kind(1, 2, 3, 4, 5, key="x")
    made.__setstate__({"a": 1})
    assert issubclass(kind, Foreign)
    assert (kind.origin, made.args, made.state) == ("pandas.core.frame.DataFrame", (1, 2, 3, 4), {"a": 1})


def test_a_kind_of_dictionary_keeps_its_first_entries_and_a_kind_of_list_none() -> None:
    made = foreign("addict", "Dict")()
    assert isinstance(made, Foreign)
    for number in range(MAX_KEPT + 5):
        made[number] = number
    made.append(1)
    made.extend([1, 2])
    assert list(made.entries) == list(range(MAX_KEPT))
    assert not hasattr(foreign("addict", "Dict")(), "entries")


@pytest.mark.parametrize("module", sorted(HOSTILE_MODULES))
def test_modules_of_attacks_are_refused(module: str) -> None:
    for home in (module, f"{module}.inner") if "." not in module else (module,):
        with pytest.raises(CheckpointError, match="Nothing in it has been run"):
            foreign(home, "f")


@pytest.mark.parametrize("name", [*sorted(HOSTILE_BUILTINS), "__import__", "eval.__self__", "print.__self__.x"])
def test_functions_of_attacks_are_refused(name: str) -> None:
    for home in ("builtins", "__builtin__"):
        with pytest.raises(CheckpointError, match="Nothing in it has been run"):
            foreign(home, name)


@pytest.mark.parametrize("name", ["getattr", "print", "Outer.Inner", "_private", "_LRScheduler__step"])
def test_other_names_stand_for_nothing(name: str) -> None:
    assert foreign("builtins", name).origin == f"builtins.{name}"


def test_a_set_keeps_the_names_in_it() -> None:
    made = Unordered.of(["a", 1, ("b",), "c"])
    assert isinstance(made, Unordered)
    assert made.names == ("a", "c")
    made.add(["d"] * 2000)
    assert len(made.names) == MAX_KEPT
    assert Unordered.of(7).args == ()


def test_keys_may_be_tuples_of_names_and_numbers_as_they_are_in_weights() -> None:
    refuse_odd_keys(["a", 1, None, 1.5, ("a", 1), (("a", 1), (2,)), Unordered()])
    for key in ([1], {}, (("a",) * 101,), ("a", [1])):
        with pytest.raises(CheckpointError, match="keys"):
            refuse_odd_keys([key])


def test_a_message_names_some_of_the_code() -> None:
    assert "a.b, c.d, e.f and 2 more" in str(asks_for_code(["a.b", "c.d", "e.f", "g", "h"]))
