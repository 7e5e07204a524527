# SPDX-License-Identifier: MIT
import json
from pathlib import Path

import pytest
import torch

from egbas.reproduce import sensitivity
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.zoo.models import load_model


@pytest.fixture
def small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = {"SPARSITIES": (1.0, 1e6), "THRESHOLDS": (0.5, 0.9), "FACTORS": (1.0, 2.0), "WIDTHS": (2.0,)}
    for name, values in {**grid, "ITERATIONS": (200,)}.items():
        monkeypatch.setattr(sensitivity, name, values)


@pytest.mark.usefixtures("small_grid")
def test_one_setting_at_a_time() -> None:
    runs = {(s, v): run for s, v, run in sensitivity.variations(load_model("dcgan-mnist-2d"), 1, 0)}
    # At a sparsity of a million no unit is worth keeping, and the setting is left out.
    assert ("sparsity", 1e6) not in runs
    default = runs["sparsity", 1.0]
    assert torch.equal(runs["threshold", 0.5].latents, default.latents)
    assert torch.equal(runs["step size", 1.0].latents, default.latents)  # regrown: the same tree, seed by seed
    double = runs["step size", 2.0]
    assert double.tree.step_size == pytest.approx(2 * default.tree.step_size)
    assert double.tree.half_width == default.tree.half_width
    assert runs["half-width", 2.0].tree.half_width == pytest.approx(2 * default.tree.half_width)
    few = runs["iterations", 200.0]
    assert len(few.latents) - 1 + len(few.rejected) == 200
    strict = runs["threshold", 0.9]
    assert set(strict.region.units.tolist()) == set((default.theta > 0.9).nonzero()[:, 0].tolist())
    assert all(bool(run.region.contains(run.latents).all()) for run in runs.values())


@pytest.mark.usefixtures("small_grid")
def test_rows_file_and_picture(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    content = sensitivity.run(("dcgan-mnist-2d",), 2, tmp_path, lambda *words: told.append(words), layers=(2,))
    assert json.loads((tmp_path / "sensitivity.json").read_text())["rows"] == content["rows"]
    assert (tmp_path / "sensitivity.png").read_bytes().startswith(b"\x89PNG")
    assert told[0][:2] == (0, 2)
    assert told[-1][:2] == (2, 2)
    rows = {(row["setting"], row["value"], row["method"]): row for row in content["rows"]}
    step, half = rows["step size", 1.0, "eps-L2"], rows["threshold", 0.5, "eps-L2"]
    assert {k: v for k, v in step.items() if k not in ("setting", "value")} == {
        k: v for k, v in half.items() if k not in ("setting", "value")
    }
    assert step["low"] <= step["mean"] <= step["high"]
    assert step["n_queries"] == 2
    assert 0 < step["acceptance"] + step["outside"] <= 1
    assert content["config"]["defaults"]["gbrrt"]["iterations"] == GbRrtConfig().iterations
    headings, lines = sensitivity.as_table(content)
    assert all(len(line) == len(headings) for line in lines)
    assert len(lines) == len({key[:2] for key in rows})
