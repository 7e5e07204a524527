# SPDX-License-Identifier: MIT
import dataclasses
import json
from pathlib import Path

import pytest
import torch

from egbas.beropt import BerOptConfig, BerOptResult, optimize
from egbas.evaluation.rankings import GRADIENT_QUERY, LARGEST
from egbas.network import Network, Tail
from egbas.reproduce import rankings
from egbas.reproduce.brute_force import random_network
from tests.problems import RedundantUnit

TINY = rankings.Case(
    model="m",
    layer=1,
    query=0,
    method=LARGEST,
    units=100,
    active=50,
    beropt_size=10,
    beropt_fidelity=0.1,
    fidelity=0.3,
    size=20.0,
    best_fidelity=0.3,
    best_size=20,
)


def solved(generator: torch.nn.Module, z0: list[float]) -> tuple[Tail, BerOptResult]:
    tail = Network(generator, (len(z0),)).split(1).at(torch.tensor(z0))
    return tail, optimize(tail, BerOptConfig(sparsity=0.5), rng=torch.Generator().manual_seed(0))


def test_a_case_known_by_hand() -> None:
    # Units 0, 1 and 5 make the image; unit 3 has the largest output and is not wired to it.
    tail, found = solved(RedundantUnit(), [1.0, 1.0])
    cases, curves = rankings.compare(tail, found, case=("tiny", 1, 0))
    by_method = {case.method: case for case in cases}
    assert list(by_method) == list(rankings.METHODS)
    largest, steepest = by_method[LARGEST], by_method[GRADIENT_QUERY]
    assert (largest.units, largest.active, largest.beropt_size) == (6, 5, 3)
    assert (largest.size, largest.best_size, steepest.size) == (4.0, 4, 3.0)
    assert largest.fidelity == pytest.approx(12 / (24**2 + 12**2 + 28**2) ** 0.5, abs=1e-5)  # unit 1 is missing
    assert steepest.fidelity == pytest.approx(found.fidelity, abs=1e-6)
    assert not any(case.wins_at_equal_size or case.wins_at_equal_fidelity for case in cases)
    assert curves.shape == (len(rankings.METHODS), len(rankings.SHARES))
    assert curves[:, -1].abs().max() < 1e-6  # all active units are the image


def test_random_orders_are_summed_up_by_mean_and_best() -> None:
    tail, found = solved(random_network(seed=2), [0.5, -1.0, 0.3, 0.8])
    case = rankings.compare(tail, found, case=("tiny", 1, 3))[0][-1]
    assert case.method == rankings.RANDOM
    assert case.best_size <= case.size
    assert case.best_fidelity < case.fidelity
    assert case == rankings.compare(tail, found, case=("tiny", 1, 3))[0][-1]


@pytest.mark.parametrize(
    ("change", "at_size", "at_fidelity"),
    [
        ({}, False, False),
        ({"best_fidelity": 0.05}, True, False),
        ({"best_size": 9}, False, True),
        ({"best_fidelity": 0.1 - 1e-7, "best_size": 10}, False, False),  # rounding, a tie
    ],
)
def test_what_a_win_is(change: dict[str, float], at_size: bool, at_fidelity: bool) -> None:
    case = dataclasses.replace(TINY, **change)
    assert (case.wins_at_equal_size, case.wins_at_equal_fidelity) == (at_size, at_fidelity)


def test_the_summary_averages_over_queries() -> None:
    other = dataclasses.replace(TINY, query=1, beropt_size=30, size=40.0, fidelity=0.5, best_fidelity=0.05)
    row = rankings.summarise([TINY, other])[0]
    assert (row["n_queries"], row["beropt_size"], row["size"]) == (2, 20.0, 30.0)
    assert row["size_ratio"] == pytest.approx(1.5)
    assert row["size_ratio_interval"][0] <= 1.5 <= row["size_ratio_interval"][1]
    assert row["fidelity"] == pytest.approx(0.4)
    assert (row["wins_at_equal_size"], row["wins_at_equal_fidelity"]) == (1, 1)  # 20 units for BerOpt's 30


def test_an_empty_set_has_no_ratio() -> None:
    row = rankings.summarise([dataclasses.replace(TINY, beropt_size=0)])[0]
    assert row["size_ratio"] is None
    assert row["size_ratio_interval"] is None


def test_no_ranking_wins_on_the_embedded_models(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    content = rankings.run(
        ("dcgan-mnist-2d", "dcgan-mnist"), 1, tmp_path, lambda done, total, _: told.append((done, total)), layers=(1,)
    )
    assert json.loads((tmp_path / "rankings.json").read_text())["rows"] == content["rows"]
    assert (tmp_path / "rankings.png").read_bytes().startswith(b"\x89PNG")
    assert told == [(1, 2), (2, 2)]
    assert len(content["rows"]) == len(content["summary"]) == 2 * len(rankings.METHODS)
    for row in content["summary"]:
        assert row["size_ratio"] > 2
        assert row["fidelity"] > 2 * row["beropt_fidelity"]
        assert row["wins_at_equal_size"] == row["wins_at_equal_fidelity"] == 0
    lines = rankings.as_table(content)[1]
    assert len(lines) == 2 * (1 + len(rankings.METHODS))
    assert [line[2] for line in lines].count("BerOpt") == 2
