# SPDX-License-Identifier: MIT
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from egbas.cli import app
from egbas.zoo.models import load_model
from tests.commands import once

QUICK = ["neighbours", "--layer", "1", "--max-steps", "60", "--quiet"]


def test_a_picture_a_table_and_tensors(tmp_path: Path) -> None:
    out = tmp_path / "near"
    result = CliRunner().invoke(app, once([*QUICK, "--bank", "300", "--count", "5", "--out", str(out), "--json"]))
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found == json.loads((out / "neighbours.json").read_text())
    assert found["bank"] == 300 and len(found["rows"]) == 5
    shares = [row["shared"] for row in found["rows"]]
    assert shares == sorted(shares, reverse=True) and found["mean_shared"] <= shares[0] <= 1
    tensors = load_file(out / "neighbours.safetensors")
    assert tensors["latents"].shape == (5, 2) and tensors["shared"].tolist() == shares
    assert {path.name for path in out.iterdir()} == {
        "neighbours.json",
        "neighbours.png",
        "neighbours.safetensors",
        "DONE",
    }


def test_the_query_is_its_own_neighbour_in_a_bank_of_a_file(tmp_path: Path) -> None:
    # The query of seed 3 is the first draw of its generator.
    query = load_model("dcgan-mnist-2d").latent.sample(1, torch.Generator().manual_seed(3))
    save_file({"latent": torch.cat([torch.full((4, 2), 5.0), query])}, tmp_path / "bank.safetensors")
    words = [*QUICK, "--seed", "3", "--bank", str(tmp_path / "bank.safetensors"), "--out", str(tmp_path / "near")]
    result = CliRunner().invoke(app, once([*words, "--json"]))
    assert result.exit_code == 0, result.output
    first = json.loads(result.stdout)["rows"][0]
    assert first["shared"] == 1


def test_neighbours_share_the_boundaries_that_are_asked_for(tmp_path: Path) -> None:
    words = [*QUICK, "--bank", "200", "--count", "5", "--json"]
    found = []
    for boundary in ("zero", "quantile:0.3"):
        told = [*words, "--boundary", boundary, "--out", str(tmp_path / boundary.replace(":", ""))]
        result = CliRunner().invoke(app, once(told))
        assert result.exit_code == 0, result.output
        found.append(json.loads(result.stdout))
    assert [each["boundary"] for each in found] == ["zero", "quantile:0.3"]
    assert found[0]["units"] == found[1]["units"]  # the set is the same
    assert found[0]["mean_shared"] != found[1]["mean_shared"]


def test_a_bank_without_latents_is_refused(tmp_path: Path) -> None:
    save_file({"latent": torch.zeros(0, 2)}, tmp_path / "bank.safetensors")
    words = [*QUICK, "--bank", str(tmp_path / "bank.safetensors"), "--out", str(tmp_path / "near")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "latents of shape (0, 2); expected shape (m, 2)" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bank", "0"], "expected 1 to 134,217,728"),
        (["--bank", "99999999999999999999"], "expected 1 to 134,217,728"),
        (["--bank", "nowhere.npy"], "there is no file nowhere.npy; --bank takes a number"),
        (["--bank", "bank.txt"], "--bank 'bank.txt' is neither a number nor a .safetensors"),
        (["--layer", "99"], "99"),
        (["--boundary", "turning"], "has no turning point"),
        (["--level", "3", "--sparsity", "2"], "leave all but one out"),
        (["--count", "0"], "count"),
    ],
)
def test_bad_input_is_one_message(tmp_path: Path, words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, once([*QUICK, "--out", str(tmp_path / "near"), *words]))
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "near").exists()
