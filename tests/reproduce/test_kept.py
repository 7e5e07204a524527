# SPDX-License-Identifier: MIT
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from egbas.reproduce.kept import identity_of, kept, kept_each
from egbas.storage import Store, key_of
from egbas.zoo.models import load_model


def test_a_result_is_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> list[float]:
        made.append(1)
        return [1 / 3]

    store = Store(tmp_path)
    assert [kept(store, {"a": 1}, make) for _ in range(2)] == [[1 / 3]] * 2
    assert made == [1]
    kept(store, {"a": 2}, make)
    assert made == [1, 1]
    assert list((tmp_path / "scores").iterdir()) and not (tmp_path / "tasks").exists()


def test_without_a_store_nothing_is_kept() -> None:
    assert kept(None, {"a": 1}, lambda: 5) == 5


def test_many_results_come_in_order_and_busy_ones_last(tmp_path: Path) -> None:
    store, made, told = Store(tmp_path), list[int](), list[tuple[int, int]]()

    def make(i: int) -> int:
        made.append(i)
        if i == 0:  # meanwhile somebody else makes the next one
            kept(store, {"i": 1}, lambda: 10)
        return 10 * i

    pieces = [({"i": i}, partial(make, i)) for i in range(3)]
    assert kept_each(store, pieces, lambda *words: told.append(words)) == [0, 10, 20]
    assert (made, told) == ([0, 2], [(1, 0), (2, 1), (3, 2)])
    with Store(tmp_path).claim(key_of({"i": 3})) as granted:
        assert granted
        made.clear()
        more = [({"i": i}, partial(make, i)) for i in (3, 5)]
        found = threading.Thread(target=lambda: told.append(tuple(kept_each(store, more))))  # type: ignore[arg-type]
        found.start()
        while made != [5]:
            pass
    found.join()
    assert (made, told[-1]) == ([5, 3], (30, 50))
    assert kept_each(None, pieces[1:]) == [10, 20]


def test_a_model_is_what_it_computes() -> None:
    model = load_model("dcgan-mnist-2d")
    assert identity_of(model) == identity_of(replace(model, name="another"))
    other = load_model("dcgan-mnist-2d")
    with torch.no_grad():
        next(other.generator.parameters()).add_(1e-3)
    assert identity_of(model) != identity_of(other)
