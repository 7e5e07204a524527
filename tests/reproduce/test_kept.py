# SPDX-License-Identifier: MIT
from dataclasses import replace
from pathlib import Path

import torch

from egbas.reproduce.kept import identity_of, kept
from egbas.storage import Store
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


def test_a_model_is_what_it_computes() -> None:
    model = load_model("dcgan-mnist-2d")
    assert identity_of(model) == identity_of(replace(model, name="another"))
    other = load_model("dcgan-mnist-2d")
    with torch.no_grad():
        next(other.generator.parameters()).add_(1e-3)
    assert identity_of(model) != identity_of(other)
