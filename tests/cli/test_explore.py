# SPDX-License-Identifier: MIT
import errno
import functools
import json
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from egbas.beropt import BerOptConfig, error_of
from egbas.beropt.config import DEFAULT_LEVEL
from egbas.cli import app
from egbas.cli.explore import default_out
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.storage import load_run, save
from tests.commands import once

SMALL = ["explore", "--model", "egbas.cli.selftest:small_network", "--latent-size", "2"]
QUICK = ["--iterations", "60", "--sparsity", "1", "--samples", "0"]


def explore(*words: str) -> Result:
    return CliRunner().invoke(app, once([*SMALL, *QUICK, *words]))


def stopped(result: Result, place: Path, *messages: str) -> None:
    """The command stopped with code 2 and a message, and left nothing behind."""
    assert result.exit_code == 2, (result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    for message in messages:
        assert message in result.stderr
    assert not place.exists() or not any(place.iterdir())
    assert not [path for path in place.parent.iterdir() if path.name.startswith(".")]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own; user modules are imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    # Drawn for real in tests/storage and tests/test_report.py; here it would be most of the time.
    monkeypatch.setattr(save, "render", lambda *_: "<!DOCTYPE html>")
    monkeypatch.setattr(save, "_picture", lambda *_: b"png")
    return tmp_path


def network(here: Path, name: str, forward: str, set_up: str = "", at_end: str = ".eval()") -> str:
    """Write a module with a network whose forward is given; return what --model takes."""
    (here / f"{name}.py").write_text(
        textwrap.dedent(
            f"""
            import time, pathlib, torch
            from torch import nn

            class Net(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.first, self.second = nn.Linear(2, 8), nn.Linear(8, 16)
                    {set_up}

                def forward(self, z):
                    {forward}
                    return torch.tanh(self.second(torch.relu(self.first(z)))).reshape(-1, 1, 4, 4)

            def make():
                torch.manual_seed(0)
                return Net(){at_end}
            """
        )
    )
    return f"{name}:make"


def test_a_run_from_the_command_line(tmp_path: Path) -> None:
    result = explore("--out", "run", "--seed", "3", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert (tmp_path / "run" / "DONE").exists()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["seed"] == 3
    assert config["beropt"]["sparsity"] == 1
    assert config["gbrrt"]["iterations"] == 60
    assert config["query"] == torch.randn(1, 2, generator=torch.Generator().manual_seed(3))[0].tolist()


def test_summary_says_where_the_report_is(tmp_path: Path) -> None:
    result = explore("--out", "run")
    assert result.exit_code == 0
    assert str(tmp_path / "run" / "report.html") in result.stdout


def test_json_alone_is_on_stdout() -> None:
    result = explore("--out", "run", "--json")
    assert json.loads(result.stdout)["iterations"] == 60


def test_every_option_reaches_its_config(tmp_path: Path) -> None:
    words = ["--threshold", "0.4", "--half-width", "1.5", "--step-size", "0.2", "--device", "cpu"]
    assert explore("--out", "run", *words).exit_code == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["beropt"]["threshold"] == 0.4
    assert config["gbrrt"] == {"iterations": 60, "step_size": 0.2, "half_width": 1.5}


@pytest.mark.parametrize(
    ("first", "asked", "used"),
    [
        ("pass", "auto", "flat"),
        ("pass", "sphere", "sphere"),
        ("z = z / z.norm(dim=1, keepdim=True)", "auto", "sphere"),
        ("z = z / z.norm(dim=1, keepdim=True)", "flat", "flat"),
    ],
)
def test_the_geometry_follows_the_network(here: Path, first: str, asked: str, used: str) -> None:
    model = network(here, f"user_{asked}_{used}", first)
    words = ["explore", "--model", model, "--latent-size", "2", "--out", "run", *QUICK, "--step-size", "0.05"]
    result = CliRunner().invoke(app, once([*words, "--geometry", asked]))
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert ("on a sphere of radius" in result.stdout) == (used == "sphere")
    assert json.loads((here / "run" / "config.json").read_text())["latent"]["geometry"] == used
    assert json.loads((here / "run" / "metrics.json").read_text())["certificate"]["is_valid"]


def test_a_run_repeats_itself(tmp_path: Path) -> None:
    assert explore("--out", "one", "--seed", "5").exit_code == 0
    assert explore("--out", "two", "--latent", "one/samples.safetensors", "--seed", "5").exit_code == 0
    one, two = (load_file(tmp_path / name / "samples.safetensors") for name in ("one", "two"))
    assert torch.equal(one["latents"], two["latents"])


def test_defaults_in_the_help_are_those_of_the_configs() -> None:
    text = CliRunner().invoke(app, ["explore", "--help"], env={"COLUMNS": "300"}).output
    for option, value in {
        "--threshold": BerOptConfig().threshold,
        "--level": DEFAULT_LEVEL,
        "--max-steps": BerOptConfig().max_steps,
        "--iterations": GbRrtConfig().iterations,
    }.items():
        found = re.search(rf"{option} .*?\[default: \(?([\d.]+)\)?\]", text, re.DOTALL)
        assert found is not None, option
        assert float(found[1]) == value


def test_default_run_directory() -> None:
    assert default_out("dcgan-mnist", "2", "7") == Path("runs/dcgan-mnist-l2-s7")
    assert default_out("dcgan-mnist", ".2", "7") == Path("runs/dcgan-mnist-l.2-s7")
    assert default_out("my.net:make", "block.relu()#2", "some/query.npy") == Path(
        "runs/my.net-make-lblock.relu-2-squery"
    )


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["--model", "dcgan-mnist-2"], ["dcgan-mnist-2d", "did you mean"]),
        (["--model", "nothing:there"], ["no module 'nothing'"]),
        (["--model", "egbas.cli.selftest:smal_network"], ["did you mean 'small_network'"]),
        (["--layer", "9"], ["9"]),
        (["--layer", "relu"], ["relu"]),
        (["--threshold", "1.5"], ["threshold is 1.5"]),
        (["--sparsity", "-1"], ["sparsity is -1"]),
        (["--sparsity", "nan"], ["sparsity is nan"]),
        (["--half-width", "0"], ["half_width is 0"]),
        (["--step-size", "inf"], ["step_size is inf"]),
        (["--iterations", "0"], ["iterations is 0"]),
        (["--seed", "-1"], ["seed -1"]),
        (["--device", "quantum"], ["device 'quantum'"]),
        (["--geometry", "round"], ["geometry 'round'", "auto, flat, sphere"]),
        (["--latent-size", "2x0"], ["--latent-size '2x0'"]),
        (["--latent", "missing.npy"], ["no file missing.npy"]),
        (["--sparsity", "1e9"], ["is empty", "lower the sparsity"]),
    ],
    ids=" ".join,
)
def test_bad_settings_and_names(tmp_path: Path, words: list[str], messages: list[str]) -> None:
    stopped(explore("--out", "run", *words), tmp_path / "run", *messages)


def test_nothing_accepted(here: Path) -> None:
    wide = "self.first, self.second = nn.Linear(2, 200), nn.Linear(200, 16)"  # a small closed region
    words = ["--model", network(here, "user_wide", "pass", wide), "--sparsity", "0.1"]
    result = explore("--out", "run", *words, "--step-size", "1e4", "--half-width", "1e5")
    stopped(result, here / "run", "candidates was accepted", "--step-size")


def test_bad_latents(tmp_path: Path) -> None:
    np.save("long.npy", np.zeros(3, dtype=np.float32))
    np.save("nan.npy", np.array([0.0, np.nan], dtype=np.float32))
    np.save("objects.npy", np.array([{}, {}]), allow_pickle=True)
    save_file({"query": torch.zeros(2)}, "short.safetensors")
    Path("short.safetensors").write_bytes(Path("short.safetensors").read_bytes()[:-3])
    np.savez("two.npz", a=np.zeros(2), b=np.zeros(2))
    Path("text.txt").write_text("0 0")
    for name, message in {
        "long.npy": "shape (3,)",
        "nan.npy": "NaN or infinite",
        "objects.npy": "cannot be read",
        "short.safetensors": "truncated",
        "two.npz": "expected one array",
        "text.txt": "neither a number nor",
    }.items():
        stopped(explore("--out", "run", "--latent", name), tmp_path / "run", message)


@pytest.mark.parametrize(
    ("name", "forward", "at_end", "message"),
    [
        ("raises", "raise KeyError('lost')", ".eval()", "lost"),
        ("nans", "z = z * float('nan')", ".eval()", "NaN"),
        ("training", "z = self.drop(z)", "", "train mode"),
        ("unreached", "z = self.first.bias.new_zeros(len(z), 2)", ".eval()", "layer"),
        ("random", "z = z + torch.randn_like(z)", ".eval()", "second time"),
    ],
)
def test_networks_that_cannot_be_explored(here: Path, name: str, forward: str, at_end: str, message: str) -> None:
    model = network(here, f"user_{name}", forward, "self.drop = nn.Dropout()", at_end)
    result = explore("--out", "run", "--model", model)
    stopped(result, here / "run", message)


def test_user_code_that_fails_is_told_with_its_place(here: Path) -> None:
    (here / "user_broken.py").write_text("x = 1\nraise ValueError('not today')\n")
    (here / "user_syntax.py").write_text("def broken(:\n")
    (here / "user_import.py").write_text("import missing_package_of_theirs\n")
    (here / "user_call.py").write_text("def make():\n    return {}\ndef needs(x): ...\n")
    for model, messages in {
        "user_broken:make": ["not today", "user_broken.py, line 2"],
        "user_syntax:make": ["SyntaxError", "line 1"],
        "user_import:make": ["missing_package_of_theirs", "user_import.py, line 1"],
        "user_call:make": ["returned a dict"],
        "user_call:needs": ["missing 1 required", "without arguments"],
    }.items():
        stopped(explore("--out", "run", "--model", model), here / "run", *messages)


def test_a_network_needs_a_latent_size() -> None:
    result = CliRunner().invoke(app, ["explore", "--model", "egbas.cli.selftest:small_network"])
    assert result.exit_code == 2
    assert "--latent-size" in result.stderr


def test_finished_run_is_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "DONE").touch()
    result = CliRunner().invoke(app, ["explore", "--model", "nothing:there", "--out", "run"])
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert explore("--out", "run", "--overwrite").exit_code == 0


def test_unlikely_queries_are_warned_of() -> None:
    np.save("far.npy", np.array([30.0, 30.0]))
    result = explore("--out", "run", "--latent", "far.npy", "--half-width", "40", "--step-size", "2")
    assert "implausible" in result.stderr


def test_outside_the_support_is_warned_of(tmp_path: Path) -> None:
    np.save("far.npy", np.array([0.2, 1.4]))
    result = CliRunner().invoke(
        app,
        ["explore", "--model", "dcgan-mnist-2d", "--latent", "far.npy", "--out", "run", *QUICK],
    )
    assert "outside the support" in result.stderr
    if result.exit_code == 0:
        assert "outside the support" in (tmp_path / "run" / "metrics.json").read_text()


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(save, "_write", full)
    stopped(explore("--out", "run"), tmp_path / "run", "disk is full")


def test_ctrl_c_leaves_nothing(here: Path) -> None:
    wait = "pathlib.Path('running').touch(); time.sleep(0.05)"
    model = network(here, "user_slow", f"if len(z) != 1: {wait}")
    code = "import sys; sys.argv[0] = 'egbas'; from egbas.cli import main; main()"
    words = ["explore", "--model", model, "--latent-size", "2", "--out", "run", "--iterations", "100000"]
    words += ["--sparsity", "0.1"]
    command = [sys.executable, "-c", code, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A suite that runs in the background of a shell ignores SIGINT, and its children would inherit that.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=here, preexec_fn=heed, **pipes) as run:  # noqa: PLW1509  no threads here
        for _ in range(600):
            if (here / "running").exists() or run.poll() is not None:
                break
            time.sleep(0.1)
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert out == ""
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not (here / "run").exists()
    assert not [path for path in here.iterdir() if path.name.startswith(".")]


def test_exact_samples_are_drawn_unless_there_are_to_be_none(tmp_path: Path) -> None:
    words = [*SMALL, "--iterations", "60", "--samples", "20", "--out", "run"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "exact" in result.stdout and "The chains agree" in result.stdout
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    region = metrics["region"]
    assert (region["sampler"], region["status"]) == ("prior", "CONVERGED")
    assert region["r_hat"] <= 1.05 and region["ess"] >= 20
    assert set(load_file(tmp_path / "run" / "region.safetensors")) == {"latents", "chain", "freedom"}


def test_samples_that_do_not_converge_are_written_and_told(tmp_path: Path) -> None:
    words = [*SMALL, "--iterations", "60", "--samples", "100000", "--max-evaluations", "1", "--out", "run"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "NOT CONVERGED" in result.stdout
    assert "Not converged after" in result.stderr
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["region"]["status"] == "NOT_CONVERGED"


# Levels, a distance, a focus, judges and features


def explore_levels(*words: str) -> Result:
    return CliRunner().invoke(app, once([*SMALL, "--iterations", "60", "--samples", "0", "--out", "run", *words]))


def written(here: Path, name: str = "config.json") -> dict[str, Any]:
    return json.loads((here / "run" / name).read_text())


@pytest.mark.parametrize(("words", "level"), [([], DEFAULT_LEVEL), (["--level", "3"], 3)])
def test_a_level_decides_how_many_units_are_kept(here: Path, words: list[str], level: int) -> None:
    result = explore_levels(*words)
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert f", level {level}" in result.stdout
    assert written(here)["level"] == written(here)["beropt"]["level"] == level
    assert written(here, "metrics.json")["fidelity"] <= error_of(level)


def test_a_sparsity_decides_without_a_level(here: Path) -> None:
    assert explore_levels("--sparsity", "0.5", "--quiet").exit_code == 0
    assert (written(here)["level"], written(here)["beropt"]["sparsity"]) == (None, 0.5)


def test_a_distance_chooses_the_level(here: Path) -> None:
    result = explore_levels("--delta", "5", "--quiet", "--seed", "3", "--samples", "20")
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert written(here)["level"] == 1
    told = written(here)["delta"]
    assert (told["delta"], told["level"], told["unconverged"]) == (5.0, 1, [])
    assert told["reached"].keys() == {"1"} and told["reached"]["1"] < 5


def test_masks_are_chosen_and_repeated(here: Path) -> None:
    result = explore_levels("--masks", "8", "--quiet")
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert written(here)["beropt"]["masks"] == 8
    assert explore_levels("--masks", "-1", "--overwrite").exit_code == 2


CONVOLUTIONS = """
import torch
from torch import nn

def make():
    torch.manual_seed(1)
    body = nn.Sequential(nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 6, 2, padding=1), nn.ReLU(), nn.Conv2d(6, 1, 1))
    return body.eval()
"""


def test_channels_are_kept_whole_and_read_back(here: Path) -> None:
    (here / "user_convolutions.py").write_text(CONVOLUTIONS)
    words = ["--model", "user_convolutions:make", "--latent-size", "8", "--level", "2", "--units", "channel"]
    result = explore_levels(*words)
    assert result.exit_code == 0, (result.stderr, result.exception)
    metrics = written(here, "metrics.json")
    assert written(here)["beropt"]["units"] == "channel"
    assert 0 < metrics["supporting_groups"] < metrics["groups"] == 6
    assert f"{metrics['supporting_groups']} of 6 channels, " in result.stdout
    read = load_run(here / "run")
    assert read.groups == (metrics["supporting_groups"], 6, "channels")
    assert read.beropt is not None
    assert len((read.beropt.units // 9).unique()) == metrics["supporting_groups"]


def test_groups_that_do_not_exist_are_refused(here: Path) -> None:
    result = explore_levels("--units", "patch:0")
    assert result.exit_code == 2
    assert "expected 'unit', 'channel' or 'patch:N'" in " ".join(result.stderr.split())


def test_beropt_is_repeated(here: Path) -> None:
    result = explore_levels("--repeats", "2", "--samples", "20")
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert "certain  2 seeds of BerOpt" in result.stdout
    assert (written(here)["repeats"], written(here, "metrics.json")["certainty"]["repeats"]) == (2, 2)
    for words in (["--repeats", "0"], ["--repeats", "1001"]):
        assert explore_levels(*words, "--overwrite").exit_code == 2


def test_a_focus_is_a_box_or_a_picture(here: Path) -> None:
    picture = Image.new("L", (4, 4))
    picture.paste(255, (2, 0, 4, 3))
    picture.save("mask.png")
    found = []
    for focus in ("2,0,4,3", "mask.png"):
        result = explore_levels("--focus", focus, "--overwrite", "--quiet")
        assert result.exit_code == 0, (result.stderr, result.exception)
        assert written(here)["focus"] == [2, 0, 4, 3]
        found.append(load_file(here / "run" / "boundary.safetensors"))
    assert found[0]["focus"].tolist() == [[0, 0, 1, 1]] * 3 + [[0, 0, 0, 0]]
    assert torch.equal(found[0]["units"], found[1]["units"])
    explore_levels("--overwrite", "--quiet")
    assert written(here)["focus"] is None
    assert "focus" not in load_file(here / "run" / "boundary.safetensors")


def test_judges_features_and_a_focus_are_told(here: Path) -> None:
    (here / "user_explore_judges.py").write_text(
        "def corner(images):\n    return {'corner': images[:, 0, 0, 0]}\n"
        "def edge(images):\n    return {'edge': images[:, 0, 0, 3]}\n"
        "def left(images):\n    return images[..., :2].flatten(1)\n"
    )
    words = [
        "--judge",
        "user_explore_judges:corner",
        "--judge",
        "user_explore_judges:edge",
        "--features",
        "user_explore_judges:left",
    ]
    result = explore_levels("--samples", "20", "--focus", "0,0,2,4", *words)
    assert result.exit_code == 0, (result.stderr, result.exception)
    for line in ("focus    freedom ", "features differ from the query's by ", "words    "):
        assert line in result.stdout
    region = written(here, "metrics.json")["region"]
    assert region["judges"].keys() == {"brightness", "contrast", "corner", "edge"}
    assert len(region["focus"]) == 2
    assert region["feature_distance"].keys() == {"q05", "q50", "q95"}
    assert f"words    {region['words']}" in result.stdout


def test_an_embedded_model_is_judged_by_its_class(here: Path) -> None:
    words = ["explore", "--iterations", "20", "--samples", "20", "--max-steps", "20", "--out", "run", "--quiet"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (result.stderr, result.exception)
    judges = written(here, "metrics.json")["region"]["judges"]
    (name,) = (name for name in judges if name.startswith("class "))
    assert judges[name]["query"] == 1.0


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["--level", "3", "--sparsity", "1"], ["got --level 3 and --sparsity 1", "leave all but one out"]),
        (["--level", "3", "--delta", "0.4"], ["got --level 3 and --delta 0.4"]),
        (["--delta", "0.4", "--sparsity", "1"], ["got --delta 0.4 and --sparsity 1"]),
        (["--delta", "inf"], ["delta=inf", "positive"]),
        (["--delta", "0.4", "--samples", "0"], ["got --delta and --samples 0"]),
        (["--delta", "0"], ["delta=0", "positive"]),
        (["--delta", "0.0001"], ["at no level", "choose a larger delta"]),
        (["--delta", "0.5", "--judge", "user_wrong:nan"], ["the judge nan gave 'nan'"]),
        (["--focus", "0,0,9,9"], ["the focus 0,0,9,9 does not lie in the image of 4 x 4"]),
        (["--focus", "2,2,2,2"], ["does not lie in the image"]),
        (["--focus", "1,2,3"], ["neither a box x0,y0,x1,y1 in pixels nor a picture"]),
        (["--focus", "missing.png"], ["no such file"]),
        (["--focus", "text.png"], ["text.png: the picture cannot be read"]),
        (["--focus", "small.png"], ["got a focus of shape (3, 2); expected (4, 4)"]),
        (["--focus", "black.png"], ["the focus holds no pixel"]),
        (["--judge", "user_nothing:f"], ["no module 'user_nothing'", "from --judge user_nothing:f"]),
        (["--judge", "user_wrong"], ["is no package.module:callable"]),
        (["--judge", "user_wrong:scalr"], ["did you mean 'scalar'"]),
        (["--judge", "user_wrong:constans"], ["has no callable 'constans'\n"]),
        (["--judge", "user_wrong:same", "--judge", "user_wrong:same"], ["gave 'same', which another score is called"]),
        (
            ["--judge", "user_wrong:same", "--samples", "0"],
            ["got judges, which need exact samples", "this run draws none"],
        ),
        (["--judge", "user_wrong:scalar"], ["the judge scalar returned Tensor; expected a dict"]),
        (["--judge", "user_wrong:word"], ["the judge word gave 'word' as str"]),
        (["--judge", "user_wrong:nan"], ["the judge nan gave 'nan'", "finite"]),
        (["--features", "user_nothing:f"], ["no module 'user_nothing'", "from --features user_nothing:f"]),
        (["--features", "user_wrong:scalar"], ["the features returned torch.float32 ()"]),
        (["--features", "user_wrong:word"], ["the features returned dict"]),
    ],
    ids=" ".join,
)
def test_bad_levels_parts_and_judges(here: Path, words: list[str], messages: list[str]) -> None:
    (here / "user_wrong.py").write_text(
        "def scalar(images):\n    return images.mean()\n"
        "def word(images):\n    return {'word': 'wide'}\n"
        "constant = 3\ndef same(images):\n    return {'same': images.mean(dim=(1, 2, 3))}\n"
        "def nan(images):\n    return {'nan': images.mean(dim=(1, 2, 3)) * float('nan')}\n"
    )
    (here / "text.png").write_text("no picture")
    Image.new("L", (2, 3), 255).save("small.png")
    Image.new("L", (4, 4)).save("black.png")
    stopped(explore_levels("--samples", "20", *words), here / "run", *messages)


@pytest.mark.parametrize("option", ["--judge", "--features"])
def test_judges_and_features_that_raise_are_told_with_their_place(here: Path, option: str) -> None:
    (here / "user_raising.py").write_text("def look(images):\n    raise ValueError('not today')\n")
    result = explore_levels("--samples", "20", option, "user_raising:look")
    stopped(result, here / "run", "not today", "user_raising.py, line 2")


def test_a_run_of_the_tree_alone_imports_nothing_large_but_torch_and_numba(tmp_path: Path) -> None:
    words = ["egbas", "explore", "--samples", "0", "--max-steps", "100", "--iterations", "50", "--quiet"]
    code = (
        f"import sys; sys.argv = {[*words, '--out', str(tmp_path / 'run')]!r}\n"
        "from egbas.cli import main\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code\n"
        "large = 'matplotlib', 'torch._dynamo', 'sympy', 'arviz_stats', 'scipy.linalg', 'pandas', 'rich.progress'\n"
        "print([name for name in large if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr.splitlines()[-1]) == (0, "[]"), run.stderr
    assert (tmp_path / "run" / "DONE").exists()


def test_a_module_of_a_number_has_a_dot(here: Path) -> None:
    assert explore("--layer", ".0", "--out", str(here / "out")).exit_code == 0
    layer = json.loads((here / "out" / "config.json").read_text())["layer"]
    assert (layer["number"], layer["path"], layer["kind"]) == (None, "0", "Linear")
    assert explore("--layer", ".1", "--out", str(here / "relu")).exit_code == 0
    assert json.loads((here / "relu" / "config.json").read_text())["layer"]["number"] == 1
    stopped(explore("--layer", "", "--out", str(here / "none")), here / "none", "got --layer ''; expected the number")
    stopped(explore("--layer", "3", "--out", str(here / "none")), here / "none", "the module of the path 3 is '.3'")


def test_what_the_users_code_prints_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prints.py").write_text(
        "import torch\nprint('at import')\n"
        "class Net(torch.nn.Sequential):\n"
        "    def forward(self, z):\n        print('forward')\n        return super().forward(z)\n"
        "def generator():\n    print('at call')\n    torch.manual_seed(0)\n"
        "    return Net(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4)).eval()\n"
    )
    words = ["--model", "prints:generator", "--latent-size", "2", "--samples", "0", "--iterations", "20", "--json"]
    result = CliRunner().invoke(app, ["explore", *words, "--out", "run"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["certificate"]["is_valid"]
    assert all(text in result.stderr for text in ("at import", "at call", "forward"))


def test_a_store_gives_what_is_finished_and_takes_what_is_new(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert explore("--out", "plain", "--quiet").exit_code == 0
    first = explore("--out", "first", "--store", "store", "--json")
    assert first.exit_code == 0, (first.stderr, first.exception)
    monkeypatch.setattr("egbas.cli.workshop.explore", None)
    again = explore("--out", "again", "--store", "store")
    assert again.exit_code == 0, (again.stderr, again.exception)
    assert "found    " in again.stdout
    (task,) = (here / "store" / "tasks").iterdir()
    plain, *others = (load_file(place / "samples.safetensors") for place in (here / "plain", here / "again", task))
    for other in others:
        assert other.keys() == plain.keys()
        assert all(torch.equal(other[name], plain[name]) for name in plain)
    config = json.loads((here / "plain" / "config.json").read_text())
    assert json.loads((here / "again" / "config.json").read_text()) == config
    assert not (task / "report.html").exists() and (here / "again" / "report.html").exists()
