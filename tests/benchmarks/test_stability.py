# SPDX-License-Identifier: MIT
"""The table of how far seeds agree says what the rows say."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import egbas
from benchmarks import stability
from egbas import BerOptConfig
from egbas.exploration.repeats import seeds_again

DOCS = Path(__file__).parents[2] / "docs"
ROWS = json.loads(stability.ROWS.read_text())["rows"]


def test_the_docs_hold_the_table_of_the_rows() -> None:
    assert stability.table(ROWS) in (DOCS / "certainty.md").read_text()


def converged() -> dict[str, Any]:
    """A row whose chains all converged."""
    row = copy.deepcopy(ROWS[0])
    for each in row["rows"]:
        each["status"] = "CONVERGED"
    return row


def test_chains_that_did_not_converge_are_marked() -> None:
    row = converged()
    assert " ! |" not in stability.table([row])
    row["rows"][1]["status"] = "NOT_CONVERGED"
    assert " ! |" in stability.table([row])


def test_means_of_five_are_measured_or_foretold() -> None:
    row = converged()
    row["agreement"] |= {"map_correlation": 0.8, "map_ceiling": 0.9}
    row.pop(stability.MEAN, None)
    assert "| 0.80 | 0.90 | ~0.95 |" in stability.table([row])  # 5 * 0.8 / (1 + 4 * 0.8) = 0.952
    assert "| 0.80 | 0.90 | 0.93 (0.90) |" in stability.table([row | {stability.MEAN: [0.93, 0.9, 0.95]}])


def test_halves_of_maps_by_hand() -> None:
    one = torch.tensor([[1.0, 2.0, torch.nan, 4.0]], dtype=torch.float32)
    other = torch.tensor([[3.0, 5.0, 7.0, 9.0]], dtype=torch.float32)  # 2 x + 1 where the first has one
    assert stability.of_halves(torch.stack([one, other])) == pytest.approx([1.0] * 3)
    # x with y, and x with -y: means of halves are x, and x + y with x - y.
    x, y = torch.tensor([1.0, -1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.5, -0.5])
    mean, least, most = stability.of_halves(torch.stack([x + y, x + y, x - y, x - y]))
    assert (least, most) == pytest.approx((0.6, 1.0))  # (1 - 1/4) / (1 + 1/4); two of three ways mix all
    assert mean == pytest.approx((0.6 + 2) / 3)


def test_runs_one_by_one_are_those_of_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stability, "SAMPLES", 20)
    model = egbas.load_model("dcgan-mnist-2d")
    config = BerOptConfig(level=1, masks=1)
    seeds = [stability.QUERY, *seeds_again(stability.QUERY, 1)]
    found = stability.certainty_by_runs([stability.sampled(model, 1, config, seed, 2_000) for seed in seeds])
    wanted = stability.agreement(model, 1, config, samples=stability.SAMPLES, most=2_000, repeats=2)
    for row in [*found.record()["rows"], *wanted["rows"]]:
        row.pop("log10_mass", None)
    assert found.record() == wanted
