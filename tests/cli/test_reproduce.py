# SPDX-License-Identifier: MIT
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from egbas.beropt import BerOptConfig
from egbas.cli import app, show
from egbas.cli.reproduce import _chosen
from egbas.reproduce import shared_runs as explored
from egbas.reproduce import tables
from egbas.reproduce.brute_force import Comparison
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.zoo.models import load_model
from tests.runs import QUICK
from tests.zoo.formats.test_gandissect import layout


def test_rows_go_to_a_file_and_a_summary_to_the_terminal(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["reproduce", "brute-force", "--queries", "1", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "brute-force.json").read_text())
    assert written["config"]["networks"] == 1
    assert len(written["rows"]) == 3
    assert set(Comparison.__annotations__) < set(written["rows"][0])
    assert "smallest for its error" in result.output


def test_an_unknown_experiment_is_bad_input(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["reproduce", "table9", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "supporting-sets" in result.output
    assert not list(tmp_path.iterdir())


def test_exact_rows_are_of_tables_only(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["reproduce", "rankings", "--exact", "--out", str(tmp_path / "new")])
    assert result.exit_code == 2
    assert "got --exact for rankings; it adds rows to table1, table2, all" in result.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rankings", "--repeats", "2"], "got --repeats 2 for rankings"),
        (["table1", "--repeats", "2", "--masks", "0"], "without random masks BerOpt finds the same set each time"),
    ],
)
def test_repeats_that_cannot_be_meant_leave_nothing(words: list[str], told: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["reproduce", *words, "--out", str(tmp_path / "new")])
    assert result.exit_code == 2
    assert told in result.stderr
    assert not (tmp_path / "new").exists()


def test_an_unknown_model_is_told_before_the_work(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["reproduce", "supporting-sets", "--model", "dcgan-mist", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "did you mean 'dcgan-mnist'" in result.output


def test_a_file_for_a_folder_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    result = CliRunner().invoke(app, ["reproduce", "supporting-sets", "--out", str(tmp_path / "taken")])
    assert result.exit_code == 2
    assert "is a file" in result.output
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_figure_as_a_user_types_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["reproduce", "figure3", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure3.json", "figure3.pdf", "figure3.png"]
    assert "figure3.pdf" in result.output


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Explorations of a few steps."""
    few = partial(explored.Explored, beropt=QUICK, gbrrt=GbRrtConfig(iterations=100))
    monkeypatch.setattr(explored, "Explored", few)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["figure3", "figure7"])
def test_a_figure_tells_how_far_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int, int]] = []
    is_quiet: list[bool] = []

    @contextmanager
    def bar(quiet: bool) -> Iterator[show.StageProgress]:
        is_quiet.append(quiet)
        yield lambda stage, done, total, _: told.append((stage, done, total))

    monkeypatch.setattr(show, "progress_bar", bar)
    result = CliRunner().invoke(
        app, ["reproduce", name, "--model", "dcgan-mnist-2d", "--quiet", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    total = {"figure3": 2, "figure7": 12}[name]
    assert told[-1] == (name, total, total)
    assert {words[0] for words in told} == {name}
    assert is_quiet == [True]


@pytest.mark.usefixtures("quick")
def test_a_figure_for_programs(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["reproduce", "figure3", "--json", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((tmp_path / "figure3.json").read_text())


def test_a_plane_figure_of_a_model_without_a_plane_is_bad_input(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["reproduce", "figure3", "--model", "dcgan-mnist", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "dcgan-mnist-2d" in result.output


def test_figures_have_their_own_queries(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["reproduce", "figure3", "--queries", "2", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "its own queries" in result.output


def test_a_table_of_a_checkpoint_file(tmp_path: Path) -> None:
    torch.save(layout((16, 32, 32, 16)), tmp_path / "g.pth")  # GAN dissection, 16 pixels
    out = tmp_path / "out"
    command = ["reproduce", "table1", "--model", str(tmp_path / "g.pth"), "--queries", "1", "--out", str(out)]
    result = CliRunner().invoke(app, [*command, "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    rows = json.loads((out / "table1.json").read_text())["rows"]
    assert {row["layer"] for row in rows} == {2, 4, 6}  # the paper's layers of a PGGAN
    assert {row["method"] for row in rows} >= {"E-GBAS", "radius-matched"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["figure1", "--seed", "1"], "--seed 1 for figure1; it is for table1, table2, all"),
        (["rankings", "--level", "2"], "--level 2 for rankings"),
        (["figure1", "--masks", "0"], "--masks 0 for figure1; it is for table1, table2, all"),
        (["table1", "--seed", "0-3", "--queries", "2"], "each says which queries"),
        (["table1", "--level", "9"], "there is no level 9"),
        (["table1", "--layer", "a"], "--layer 'a'"),
    ],
)
def test_lists_that_cannot_be_meant(tmp_path: Path, words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["reproduce", *words, "--out", str(tmp_path / "out")])
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    assert not list(tmp_path.iterdir())


def test_lists_of_queries_layers_and_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        tables, "beropt_at", lambda level, masks: BerOptConfig(level=level, masks=masks, max_steps=30, anneal_steps=30)
    )
    words = ["table1", "--model", "dcgan-mnist-2d", "--layer", "1", "--seed", "3,5", "--level", "1,2", "--masks", "0"]
    result = CliRunner().invoke(app, ["reproduce", *words, "--out", str(tmp_path), "--json", "--quiet"])
    assert result.exit_code == 0, (result.stderr, result.exception)
    told = json.loads(result.stdout)
    assert [told[name]["config"]["beropt"]["level"] for name in ("level-1", "level-2")] == [1, 2]
    assert told["level-1"]["config"]["beropt"]["masks"] == 0
    assert told["level-1"]["config"]["seeds"] == [3, 5] and told["level-1"]["rows"][0]["n_queries"] == 2
    assert not (tmp_path / "level-1" / "queries" / "tasks").exists()


def test_a_key_says_which_network_of_a_file_is_meant(tmp_path: Path) -> None:
    torch.manual_seed(0)
    networks = {name: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 64)) for name in ("netG", "netG_ema")}
    torch.save({name: network.state_dict() for name, network in networks.items()}, tmp_path / "g.pth")
    z = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    for name, network in networks.items():
        chosen = _chosen(str(tmp_path / "g.pth"), tmp_path / "out", name, "relu,none")
        assert torch.equal(load_model(chosen or "").generator(z), network(z).reshape(-1, 1, 8, 8))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["figure5", "--queries", "2"], "figure5 has its own queries"),
        (["rankings", "--seed", "3"], "got --seed 3 for rankings"),
        (["table1", "--level", "99"], "99"),
    ],
)
def test_bad_options_beside_a_key_leave_nothing(tmp_path: Path, words: list[str], message: str) -> None:
    torch.save({"netG": nn.Linear(3, 64).state_dict()}, tmp_path / "g.pth")
    more = ["--model", str(tmp_path / "g.pth"), "--key", "netG", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["reproduce", *words, *more])
    assert (result.exit_code, message in result.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_a_key_without_a_file_is_bad_input(tmp_path: Path) -> None:
    words = ["reproduce", "table1", "--model", "dcgan-mnist-2d", "--key", "netG", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "got --key and no checkpoint file" in result.stderr


@pytest.mark.parametrize("extra", [[], ["--quiet", "--json"]])
def test_chains_that_did_not_converge_are_warned_of(
    extra: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from egbas.cli import reproduce

    content = {"rows": [], "ratios": [], "doubts": ["m, layer 2: the chains of 'exact samples' did not converge"]}
    monkeypatch.setattr(reproduce, "_run", lambda *_: (content, (["a"], [["b"]])))
    result = CliRunner().invoke(app, ["reproduce", "table1", "--exact", "--out", str(tmp_path / "new"), *extra])
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert "warning: m, layer 2: the chains of 'exact samples' did not converge" in " ".join(result.stderr.split())


JUDGES = """
import torch
from torch import nn

class Critic(nn.Module):
    def forward(self, images):
        return torch.relu(1 + 0 * images.flatten(1).mean(dim=1, keepdim=True))

class One(nn.Module):
    def forward(self, images):
        return torch.tensor([0.0, 1.0]).expand(len(images), 2)

def critic():
    return Critic().eval()

def one_class():
    return One().eval()

def training():
    return Critic()
"""


@pytest.fixture
def judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "reproduce_judges.py").write_text(JUDGES)
    torch.save(layout((16, 32, 32, 16)), tmp_path / "g.pth")  # images (3, 16, 16), without a discriminator
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_table_of_a_file_with_judges_of_ones_own(judges: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        tables, "beropt_at", lambda level, masks: BerOptConfig(level=level, masks=masks, max_steps=30, anneal_steps=30)
    )
    words = ["table2", "--model", "g.pth", "--layer", "2", "--queries", "1", "--masks", "0", "--out", "out"]
    own = ["--critic", "reproduce_judges:critic", "--classifier", "reproduce_judges:one_class"]
    result = CliRunner().invoke(app, ["reproduce", *words, *own, "--json", "--quiet"])
    assert result.exit_code == 0, (result.stderr, result.exception)
    content = json.loads(result.stdout)
    assert content == json.loads((judges / "out" / "table2.json").read_text())
    config = content["config"]
    assert (config["critic"], config["classifier"]) == (own[1], own[3])
    assert {row["metric"] for row in content["rows"]} == {"critic similarity 1", "class consistency"}
    # Each image has the same feature and the same class.
    assert [row["mean"] for row in content["rows"]] == pytest.approx([1.0] * len(content["rows"]))
    again = CliRunner().invoke(app, ["reproduce", *words, *own])
    assert (again.exit_code, "1 of the queries were finished before" in again.stdout) == (0, True)
    plain = CliRunner().invoke(app, ["reproduce", *words, "--json", "--quiet"])
    assert [json.loads(plain.stdout)[name] for name in ("rows", "ratios")] == [[], []]  # as there is no judge


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rankings", "--critic", "m:critic"], "got --critic m:critic for rankings; it is for table1, table2, all"),
        (["figure7", "--classifier", "lenet-mnist"], "got --classifier lenet-mnist for figure7; it is for table1"),
        (["table2", "--critic", "reproduce_judges:critik"], "did you mean 'critic'"),
        (
            ["table2", "--critic", "reproduce_judges:training"],
            "--critic reproduce_judges:training: the discriminator is",
        ),
        (["all", "--model", "g.pth", "--classifier", "lenet-mnist"], "--classifier lenet-mnist: the classifier raised"),
        (["table1", "--model", "g.pth", "--classifier", "lenet"], "did you mean 'lenet-mnist'"),
        (["table1", "--model", "g.pth", "--key", "g", "--critic", "reproduce_judges:training"], "'g'"),
    ],
)
def test_judges_that_cannot_be_meant_leave_nothing(judges: Path, words: list[str], told: str) -> None:
    result = CliRunner().invoke(app, ["reproduce", *words, "--out", str(judges / "out")])
    assert (result.exit_code, told in " ".join(result.stderr.split())) == (2, True), result.stderr
    assert not (judges / "out").exists()
