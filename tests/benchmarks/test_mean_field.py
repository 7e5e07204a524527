# SPDX-License-Identifier: MIT
"""The table of BerOpt without random masks says what the rows say, and the passes are counted."""

import json
from pathlib import Path

import torch

import egbas
from benchmarks import mean_field
from egbas.network import Network

ROOT = Path(__file__).parents[2]
ROWS = json.loads((ROOT / "benchmarks" / "mean_field.json").read_text())["rows"]


def test_the_docs_hold_the_table_of_the_rows() -> None:
    assert "\n".join(mean_field.table(ROWS)) in (ROOT / "docs" / "beropt.md").read_text()


def test_every_layer_has_both() -> None:
    assert [(row["model"], row["layer"], row["masks"]) for row in ROWS] == [
        (*case, masks) for case in mean_field.LAYERS for masks in mean_field.MASKS
    ]


def test_a_backward_pass_counts_as_two() -> None:
    model = egbas.load_model("dcgan-mnist-2d")
    tail = Network(model.generator, model.latent.shape).split(4).at(torch.tensor([0.3, -0.4]))
    passes, counted = mean_field._counted(tail)
    counted(tail.a.repeat(3, 1))
    assert passes == [3]
    counted(tail.a.repeat(2, 1).requires_grad_())
    assert passes == [9]
