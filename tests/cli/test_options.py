# SPDX-License-Identifier: MIT
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from egbas.beropt import BerOptConfig
from egbas.beropt.config import COARSEST, DEFAULT_LEVEL, FINEST
from egbas.cli import app, options
from egbas.samplers.gbrrt import GbRrtConfig
from tests.commands import once

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
EXPLORING = ("explore", "compare", "estimate")
# A seed is of one query or the first of many; each command writes another directory; a decision region has no layer.
OWN = {"seed", "out", "layer"}
# In compare, which takes many levels and latents, and whose classifier judges samples and has no layers.
OTHERS = {"level", "latent", "classifier"}
SHARED = {each.name for command in EXPLORING for each in COMMANDS[command].params} - OWN


def option(command: str, name: str) -> tuple[Any, ...] | None:
    """What help says of an option, and what it takes."""
    for each in COMMANDS[command].params:
        if each.name == name:
            return (each.opts, each.help, each.metavar, each.show_default, each.default, each.is_flag)
    return None


@pytest.mark.parametrize(
    "name", sorted({each.name for command in EXPLORING for each in COMMANDS[command].params} - OWN)
)
def test_an_option_is_the_same_in_all_commands(name: str) -> None:
    told = [option(command, name) for command in EXPLORING if (command, name in OTHERS) != ("compare", True)]
    assert len({str(each) for each in told if each is not None}) == 1


@pytest.mark.parametrize("command", [*EXPLORING, "path", "sanity", "neighbours", "layers", "inspect", "convert"])
def test_a_network_in_a_file_can_be_chosen_wherever_a_model_is_named(command: str) -> None:
    assert option(command, "key") is not None
    assert option(command, "activation") is not None


@pytest.mark.parametrize("name", ["json", "latent_size", "key", "activation"])
def test_so_it_is_in_the_other_commands(name: str) -> None:
    told = [option(command, name) for command in COMMANDS]
    assert len({str(each) for each in told if each is not None}) == 1


@pytest.mark.parametrize("command", EXPLORING)
@pytest.mark.parametrize("config", [BerOptConfig(), GbRrtConfig()], ids=["BerOpt", "GB-RRT"])
def test_shown_defaults_are_those_of_the_configs(command: str, config: BerOptConfig | GbRrtConfig) -> None:
    settings = asdict(config)
    # Where nothing is given a level decides, and its sparsity follows.
    of_beropt = {
        "level": str(DEFAULT_LEVEL),
        "sparsity": "as the level says",
        "masks": "4, or 1 for large images",
    }
    told = of_beropt if "level" in settings else {}
    shown = {each.name: each for each in COMMANDS[command].params if each.name in settings}
    assert shown
    for name, each in shown.items():
        assert each.default is None  # so that the config's own default holds
        assert each.show_default == (told.get(name) or options.shown(settings[name]))


@pytest.mark.parametrize("command", ["explore", "compare", "estimate", "neighbours"])
@pytest.mark.parametrize("level", [COARSEST - 1, FINEST + 1])
def test_levels_that_do_not_exist_are_refused(command: str, level: int) -> None:
    result = CliRunner().invoke(app, [command, "--level", str(level)])
    assert result.exit_code == 2
    assert "--level" in result.output


def test_defaults_are_read_from_the_files_of_the_configs() -> None:
    assert asdict(options.BEROPT) == asdict(BerOptConfig())
    assert asdict(options.GBRRT) == asdict(GbRrtConfig())


@pytest.mark.parametrize(("value", "text"), [(None, "automatic"), (1.0, "1"), (0.5, "0.5"), (2000, "2000")])
def test_how_a_default_is_shown(value: float | int | None, text: str) -> None:
    assert options.shown(value) == text


HUGE = "99999999999999999999", "9" * 4300, "9" * 4301
OUT_OF_RANGE = [
    *(
        ["explore", option, value]
        for option in ("--threads", "--iterations", "--samples", "--max-evaluations", "--max-steps", "--latent")
        for value in HUGE
    ),
    *(["explore", option, value] for option in ("--layer", "--seed", "--level", "--latent-size") for value in HUGE),
    *(["explore", option, "1e400"] for option in ("--sparsity", "--step-size", "--half-width", "--delta")),
    *(["explore", option, "1e308"] for option in ("--step-size", "--half-width")),
    *(["explore", "--focus", f"0,0,{value},3"] for value in HUGE),
    *(["neighbours", option, value] for option in ("--bank", "--count") for value in HUGE),
    *(["path", option, value] for option in ("--level", "--layer", "--samples") for value in HUGE),
    *(["compare", "--queries", value] for value in HUGE),
    *(["reproduce", name, "--queries", value] for name in ("table1", "brute-force") for value in HUGE),
]


@pytest.mark.parametrize("words", OUT_OF_RANGE, ids=lambda words: f"{words[0]} {words[-2]} {words[-1][:8]}")
def test_a_number_out_of_range_is_refused_before_any_work(words: list[str], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    result = CliRunner().invoke(app, once([*words, "--out", str(out)]))
    assert result.exit_code == 2, (result.output[-300:], result.exception)
    assert not out.parent.exists()


GROWING = """
import torch
from torch import nn

class Growing(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.third = nn.Linear(3, 16), nn.Linear(16, 16), nn.Linear(16, 64)

    def forward(self, z):
        h = torch.relu(self.first(z))
        return {"small": self.second(h).reshape(-1, 1, 4, 4), "big": self.third(h).reshape(-1, 1, 8, 8)}

def make():
    return Growing().eval()
"""
WITH_A_MODEL = {
    "explore": ["--samples", "0", "--iterations", "40", "--max-steps", "100"],
    "path": ["--layer", "1", "--level", "3", "--samples", "5", "--max-evaluations", "300", "--max-steps", "100"],
    "compare": ["--iterations", "40", "--max-steps", "100"],
    "neighbours": ["--bank", "50", "--max-steps", "100"],
    "sanity": ["--samples", "5", "--max-evaluations", "300", "--max-steps", "100", "--sets", "1"],
    "estimate": [],
    "layers": [],
}


@pytest.mark.parametrize("command", WITH_A_MODEL)
def test_every_command_takes_the_output_that_is_the_image(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"growing_{command}"
    (tmp_path / f"{name}.py").write_text(GROWING)
    model = [f"{name}:make"] if command == "layers" else ["--model", f"{name}:make"]
    words = [command, *model, "--latent-size", "3", *WITH_A_MODEL[command]]
    out = [] if command in ("estimate", "layers") else ["--out", "out", "--overwrite"]
    told = CliRunner().invoke(app, once([*words, *out]))
    assert told.exit_code == 0, (told.stderr, told.exception)
    assert told.stderr.count("2 tensors that may be the image: small (1 x 4 x 4), big (1 x 8 x 8)") == 1
    chosen = CliRunner().invoke(app, once([*words, *out, "--output", "big"]))
    assert chosen.exit_code == 0, (chosen.stderr, chosen.exception)
    assert "may be the image" not in chosen.stderr
    if command in ("explore", "layers"):
        assert "1 x 4 x 4" in told.stdout
        assert "1 x 8 x 8, output big" in chosen.stdout
    files = {
        "path": "path.json",
        "compare": "comparison.json",
        "neighbours": "neighbours.json",
        "sanity": "sanity.json",
    }
    if out:
        written = json.loads((tmp_path / "out" / files.get(command, "config.json")).read_text())
        config = written["config"]["first"] if command == "compare" else written
        assert config["output"] == "big"
    page = {"explore": "report.html", "path": "path.html"}.get(command)
    if page is not None:
        assert "--output big" in (tmp_path / "out" / page).read_text()
    wrong = CliRunner().invoke(app, once([*words, *out, "--output", "medium"]))
    assert wrong.exit_code == 2
    assert "no output 'medium' in what the network returned, a dict; choose one of small" in wrong.stderr


def test_options_as_words_of_a_command_line() -> None:
    given = {"--seed": 3, "--force": True, "--level": None, "--judge": ["a", "b c"], "--bank": []}
    assert options.words_of(given) == ["--seed", "3", "--force", "--judge", "a", "--judge", "b c"]
