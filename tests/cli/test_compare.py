# SPDX-License-Identifier: MIT
import csv
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional as F
from typer.testing import CliRunner

from egbas.cli import app
from egbas.cli.compare import as_csv
from egbas.cli.selftest import small_network
from egbas.evaluation.baselines import E_GBAS, METHODS, e_gbas
from egbas.evaluation.comparison import images_of
from egbas.storage import Store, load_run
from tests.commands import once

SMALL = ["compare", "--model", "egbas.cli.selftest:small_network", "--latent-size", "2"]
QUICK = ["--iterations", "150", "--sparsity", "1", "--half-width", "4"]
ROW = {"model": "m", "layer": 1, "method": "a", "metric": "x", "mean": 0.5, "low": 0.25, "high": 1.0, "n_queries": 3}


def compare(*words: str) -> Result:
    return CliRunner().invoke(app, once([*SMALL, *QUICK, *words]))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_queries(here: Path) -> None:
    result = compare("--out", "out", "--queries", "2", "--seed", "5", "--json")
    assert result.exit_code == 0, (result.stderr, result.exception)
    printed = json.loads(result.stdout)
    written = json.loads((here / "out" / "comparison.json").read_text())
    assert printed["rows"] == written["rows"]
    assert written["config"]["seeds"] == [5, 6]
    deviations = {row["method"]: row for row in written["rows"] if row["metric"] == "deviation"}
    assert list(deviations) == list(METHODS)
    for row in deviations.values():
        assert 0 < row["low"] <= row["mean"] <= row["high"]
        assert row["n_queries"] == 2
    with (here / "out" / "comparison.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(written["rows"]) + len(written["ratios"])
    Image.open(here / "out" / "comparison.png").verify()
    assert "Beside the baselines" in (here / "out" / "report.html").read_text()
    assert {path.name for path in (here / "out").iterdir()} == {
        "comparison.csv",
        "comparison.json",
        "comparison.png",
        "report.html",
        "DONE",
    }


def test_the_geometry_of_all_methods(here: Path) -> None:
    assert compare("--out", "out", "--geometry", "sphere", "--quiet", "--step-size", "0.05").exit_code == 0
    written = json.loads((here / "out" / "comparison.json").read_text())
    assert written["config"]["first"]["latent"]["geometry"] == "sphere"
    assert [written["config"][name] for name in ("discriminator", "critic", "classifier")] == [None] * 3
    assert {row["method"] for row in written["rows"]} == set(METHODS)
    result = compare("--out", "other", "--geometry", "round")
    assert (result.exit_code, "geometry 'round'" in result.stderr, (here / "other").exists()) == (2, True, False)


def test_one_query_on_the_terminal(here: Path) -> None:
    result = compare()
    assert result.exit_code == 0, (result.stderr, result.exception)
    for word in (*METHODS, "deviation", "in region", "comparison.png"):
        assert word in result.stdout
    assert "[" not in result.stdout  # no interval from one query
    (place,) = (here / "runs").iterdir()
    assert place.name.startswith("compare-")


def test_the_zoo_has_judges(here: Path) -> None:
    words = ["compare", "--model", "dcgan-mnist", "--iterations", "60", "--out", "out", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (result.stderr, result.exception)
    metrics = {row["metric"] for row in json.loads(result.stdout)["rows"]}
    assert metrics >= {*(f"critic similarity {layer}" for layer in range(1, 5)), "class consistency"}
    written = json.loads((here / "out" / "comparison.json").read_text())
    assert written["config"]["discriminator"] == {"minibatch_deviation": None}
    assert (written["config"]["classifier"], written["config"]["critic"]) == ("lenet-mnist", None)


def test_the_discriminator_of_a_pggan_and_how_it_sees_an_image(here: Path) -> None:
    words = ["compare", "--model", "pggan-mnist", "--layer", "2", "--iterations", "20", "--max-steps", "20"]
    result = CliRunner().invoke(app, once([*words, "--out", "out", "--quiet"]))
    assert result.exit_code == 0, (result.stderr, result.exception)
    config = json.loads((here / "out" / "comparison.json").read_text())["config"]
    policy = config["discriminator"]["minibatch_deviation"]
    assert policy.keys() == {"groups", "size", "unbiased", "reference"}
    assert policy["reference"] > 0
    assert config["first"]["latent"]["geometry"] == "sphere"


def test_finished_comparisons_and_foreign_files_are_kept(here: Path) -> None:
    assert compare("--out", "out", "--quiet").exit_code == 0
    before = (here / "out" / "DONE").stat().st_mtime_ns
    again = compare("--out", "out")  # the same question: the answer is there
    assert (again.exit_code, "finished before" in again.stdout) == (0, True)
    assert (here / "out" / "DONE").stat().st_mtime_ns == before
    result = compare("--out", "out", "--threshold", "0.4")
    assert (result.exit_code, "--overwrite" in result.stderr) == (2, True)
    assert compare("--out", "out", "--overwrite", "--quiet").stdout == ""
    several = compare("--out", "out", "--layer", "1,.0")
    assert (several.exit_code, "holds one result itself" in several.stderr) == (2, True)
    (here / "out" / "mine.txt").touch()
    result = compare("--out", "out", "--overwrite")
    assert (result.exit_code, "left alone" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--latent", "3", "--queries", "2"], "leave one of them out"),
        (["--layer", "nine"], "nine"),
        (["--boundary", "turning"], "has no turning point"),
        (["--seed", str(2**63 - 1)], "out of range"),
        (["--queries", "0"], "--queries"),
    ],
)
def test_bad_settings_leave_nothing(here: Path, words: list[str], message: str) -> None:
    result = compare("--out", "out", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(here.iterdir())


def test_the_boundary_is_part_of_the_question(here: Path) -> None:
    words = ["--out", "out", "--boundary", "quantile:0.4", "--quiet"]
    assert compare(*words).exit_code == 0
    assert json.loads((here / "out" / "comparison.json").read_text())["config"]["first"]["boundary"] == "quantile:0.4"
    result = compare("--out", "out")
    assert (result.exit_code, "--overwrite" in result.stderr) == (2, True)


def test_csv_by_hand() -> None:
    other = {**ROW, "method": "b", "metric": "y", "low": None, "high": None}
    assert as_csv([ROW, other]).decode().splitlines() == [
        "model,layer,method,metric,mean,low,high,n_queries",
        "m,1,a,x,0.5,0.25,1.0,3",
        "m,1,b,y,0.5,,,3",
    ]


def test_lists_of_queries_layers_and_levels(here: Path) -> None:
    words = ["--seed", "3,5", "--layer", "1", "--level", "2,6", "--max-steps", "60", "--out", "out", "--json"]
    result = CliRunner().invoke(app, [*SMALL, "--iterations", "150", "--half-width", "4", *words])
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert set(json.loads(result.stdout)) == {"layer-1-level-2", "layer-1-level-6"}
    for level in (2, 6):
        written = json.loads((here / "out" / f"layer-1-level-{level}" / "comparison.json").read_text())
        assert written["config"]["seeds"] == [3, 5] and written["config"]["first"]["level"] == level
    assert [path.name for path in here.iterdir()] == ["out"]  # what was kept meanwhile is removed
    before = (here / "out" / "layer-1-level-2" / "DONE").stat().st_mtime_ns
    (here / "out" / "layer-1-level-6" / "DONE").unlink()
    command = [*SMALL, "--iterations", "150", "--half-width", "4", *words]
    again = CliRunner().invoke(app, command)
    assert json.loads(again.stdout) == json.loads(result.stdout)
    assert (here / "out" / "layer-1-level-2" / "DONE").stat().st_mtime_ns == before
    other = CliRunner().invoke(app, [*command, "--threshold", "0.4"])
    assert (other.exit_code, "finished result of other settings" in other.stderr) == (2, True)
    single = CliRunner().invoke(app, once([*command, "--level", "2"]))
    assert (single.exit_code, "holds several results, a folder each" in single.stderr) == (2, True)


def test_rows_of_a_file_are_queries_and_a_store_keeps_them(here: Path) -> None:
    np.save("z.npy", np.array([[0.3, -0.2], [0.1, 0.4]], dtype=np.float32))
    words = ["--latent", "z.npy", "--store", "store", "--quiet"]
    assert compare(*words, "--out", "out").exit_code == 0
    config = json.loads((here / "out" / "comparison.json").read_text())["config"]
    assert (config["n_queries"], config["finished_before"]) == (2, 0)
    assert config["first"]["query"] == pytest.approx([0.3, -0.2])
    named = re.findall(r"[a-z]+\.safetensors", (here / "out" / "report.html").read_text())
    assert named and all((here / "out" / name).is_file() for name in named)  # what the report's command reads
    assert load_file(here / "out" / "samples.safetensors")["query"].tolist() == config["first"]["query"]
    assert compare(*words, "--out", "again").exit_code == 0
    again = json.loads((here / "again" / "comparison.json").read_text())
    assert again["config"]["finished_before"] == 2
    assert again["rows"] == json.loads((here / "out" / "comparison.json").read_text())["rows"]


def test_an_option_twice_is_an_error(here: Path) -> None:
    result = CliRunner().invoke(app, [*SMALL, "--seed", "1", "--seed", "2"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--seed is given 2 times, and takes one value (the last is '2')" in result.stderr
    assert "write a list such as 1,2" in result.stderr
    assert not list(here.iterdir())


JUDGES = """
import torch
from torch import nn
from compare_elsewhere import SHIFT

class Critic(nn.Module):
    def forward(self, images):
        x = images.flatten(1)
        return torch.relu(torch.stack([1 + x[:, 0], 3 * x[:, 1], x[:, 0] - x[:, 1] + SHIFT], dim=1))

class One(nn.Module):
    def forward(self, images):
        return torch.tensor([0.0, 1.0, 0.5]).expand(len(images), 3)

def critic():
    return Critic().eval()

def one_class():
    return One().eval()

def training():
    return Critic()

def plain():
    return nn.Flatten().eval()

def colours():
    return nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU()).eval()

def raising():
    raise KeyError("weights")

def number():
    return 3
"""
OWN = ["--critic", "compare_judges:critic", "--classifier", "compare_judges:one_class"]


def forget_judges() -> None:
    for name in ("compare_judges", "compare_elsewhere"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


@pytest.fixture
def judges(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (here / "compare_judges.py").write_text(JUDGES)
    (here / "compare_elsewhere.py").write_text("SHIFT = 2.5")
    monkeypatch.syspath_prepend(str(here))
    forget_judges()
    yield here
    forget_judges()


def test_judges_of_ones_own_by_hand(judges: Path) -> None:
    words = [*OWN, "--store", "store", "--seed", "3"]
    result = compare(*words, "--out", "out", "--json")
    assert result.exit_code == 0, (result.stderr, result.exception)
    rows = json.loads(result.stdout)["rows"]
    means = {(row["method"], row["metric"]): row["mean"] for row in rows}
    assert [means[method, "class consistency"] for method in METHODS] == [1.0] * len(METHODS)
    # The exploration is in the store: the cosines of the features that the code above has.
    (key,) = Store(Path("store")).keys()
    run = load_run(Store(Path("store")).place(key), small_network())
    x = torch.cat([run.query_image[None], images_of(run, e_gbas(run).latents)]).flatten(1).double()
    features = torch.relu(torch.stack([1 + x[:, 0], 3 * x[:, 1], x[:, 0] - x[:, 1] + 2.5], dim=1))
    expected = F.cosine_similarity(features[1:], features[:1]).mean().item()
    assert means[E_GBAS, "critic similarity 1"] == pytest.approx(expected, abs=1e-6)
    assert 0.5 < expected < 0.9999
    assert (E_GBAS, "critic similarity 2") not in means
    config = json.loads((judges / "out" / "comparison.json").read_text())["config"]
    assert (config["classifier"], config["critic"]) == ("compare_judges:one_class", "compare_judges:critic")
    assert config["discriminator"] == {"minibatch_deviation": None}


def test_two_judges_do_not_find_each_others_scores(judges: Path) -> None:
    def finished_before(out: str, *words: str) -> int:
        result = compare(*words, "--out", out, "--store", "store", "--quiet")
        assert result.exit_code == 0, (result.stderr, result.exception)
        return json.loads((judges / out / "comparison.json").read_text())["config"]["finished_before"]

    assert [finished_before("a", *OWN), finished_before("b", *OWN)] == [0, 1]
    (judges / "compare_elsewhere.py").write_text("SHIFT = -1.25")  # no weight and no line of the judges' own file
    forget_judges()
    assert finished_before("c", *OWN) == 0
    assert [finished_before("d"), finished_before("e")] == [0, 1]
    assert len(list(Store(Path("store")).keys())) == 1  # one exploration for all of them
    rows = [json.loads((judges / out / "comparison.json").read_text())["rows"] for out in "abcd"]
    assert rows[0] == rows[1] != rows[2]
    told = [row for row in rows[0] if "critic" not in row["metric"] and "class" not in row["metric"]]
    assert rows[3] == told
    again = compare(*OWN, "--out", "c")
    assert (again.exit_code, "finished before" in again.stdout) == (0, True)
    other = compare(*OWN[:2], "--out", "c")
    assert (other.exit_code, "finished result of other settings" in other.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--classifier", "lenet"], "did you mean 'lenet-mnist'"),
        (["--classifier", "compare_judges:number"], "--classifier compare_judges:number gave a int"),
        (["--critic", "lenet-mnist"], "--critic 'lenet-mnist' is no package.module:callable"),
        (["--critic", "compare_nowhere:critic"], "no module 'compare_nowhere'"),
        (["--critic", "compare_judges:raising"], "calling compare_judges:raising failed: KeyError"),
        (["--critic", "compare_judges:training"], "--critic compare_judges:training: the discriminator is in train"),
        (["--critic", "compare_judges:plain"], "--critic compare_judges:plain: it has no non-linearity"),
        (["--critic", "compare_judges:colours"], "--critic compare_judges:colours: the discriminator raised Runtime"),
        (["--classifier", "lenet-mnist"], "--classifier lenet-mnist: the classifier raised RuntimeError on images"),
    ],
)
def test_what_cannot_judge_leaves_nothing(judges: Path, words: list[str], told: str) -> None:
    before = sorted(path.name for path in judges.iterdir())
    result = compare("--out", "out", "--store", "store", *words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert [name for name in sorted(path.name for path in judges.iterdir()) if name != "__pycache__"] == before
