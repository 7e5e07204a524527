# SPDX-License-Identifier: MIT
"""The benchmarks measure what they say; how fast anything is, no test asserts."""

import importlib.util
import json
import time

import pytest
import torch

from benchmarks import growing, ompl_rival, optimising, run, scale
from benchmarks.literal import grow_literally, is_same
from benchmarks.problems import DCGANS, PGGANS, problem
from benchmarks.timing import in_turns, machine

FEW = 40


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_the_cases_are_those_of_the_targets() -> None:
    assert len(DCGANS) == 8
    assert [layer for _, layer in PGGANS] == [2, 4, 6]
    assert set(run.KEYS) == {
        "gbrrt_vs_loop",
        "gbrrt_vs_ompl",
        "gbrrt_vs_limit",
        "lockstep",
        "tree_growth",
        "beropt_vs_limit",
        "memory",
        "startup",
    }


@pytest.mark.parametrize(("model", "layer"), [("dcgan-mnist-2d", 1), ("dcgan-mnist", 2)])
def test_the_literal_loop_grows_the_same_tree(model: str, layer: int) -> None:
    found = problem(model, layer, 150)
    tree = found.grow()
    assert len(tree.latents) > 5
    assert is_same(tree, grow_literally(found))
    assert not is_same(tree, grow_literally(problem(model, layer, 100)))


def test_the_ratio_is_that_of_the_seconds() -> None:
    found = in_turns(lambda: time.sleep(0.06), lambda: time.sleep(0.02), 3)
    assert 1.5 < found["ratio"] < 6  # three; sleeping is never shorter than asked for
    assert found["rival_seconds"] >= 0.06
    assert found["seconds"] >= 0.02


def test_rows_of_growing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "_problems", lambda *_, **__: [problem("dcgan-mnist-2d", 1, FEW)])
    (loop,) = growing.vs_loop(False, "cpu")
    assert loop["same_tree"] is True
    (limit,) = growing.vs_limit(False, "cpu")
    assert limit["evaluations"] >= 1
    for row in (loop, limit):
        assert (row["model"], row["layer"], row["iterations"]) == ("dcgan-mnist-2d", 1, FEW)
        assert row["ratio"] > 0


def test_rows_of_beropt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimising, "DCGANS", [("dcgan-mnist-2d", 1)])
    monkeypatch.setattr(optimising, "problem", lambda *_: problem("dcgan-mnist-2d", 1, FEW))
    (row,) = optimising.vs_limit(False, "cpu")
    assert row["seconds"] > 0
    assert row["ratio"] > 0


def test_rows_of_tree_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "SIZES", (400, 1200))
    monkeypatch.setattr(scale, "DIMENSIONS", (2, 64))
    rows = scale.tree_growth(False, "cpu")
    assert [(row["model"], row["nodes"]) for row in rows] == [
        ("2 dimensions", 400),
        ("2 dimensions", 1200),
        ("64 dimensions", 400),
        ("64 dimensions", 1200),
    ]
    assert rows[0]["ratio"] == rows[2]["ratio"] == 1.0


@pytest.mark.skipif(importlib.util.find_spec("ompl") is None, reason="OMPL is not installed")
def test_ompl_explores_the_same_region() -> None:
    found = ompl_rival.run_ompl(problem("dcgan-mnist-2d", 1, FEW), seconds=0.3)
    assert found["tests_per_second"] > found["nodes_per_second"] > 0


def test_without_ompl_the_key_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert ompl_rival.vs_ompl(False, "cpu") == []


def test_the_machine_can_be_written_down() -> None:
    found = machine("cpu")
    assert json.loads(json.dumps(found)) == found
    assert found["torch"] == torch.__version__
