# SPDX-License-Identifier: MIT
import errno
import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from torch import nn
from typer.testing import CliRunner

from egbas.cli import app
from egbas.storage import load_run, save
from tests.zoo.containers.malicious import attacks, zipped
from tests.zoo.formats import test_gan_zoo


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a checkpoint, net.pt."""
    monkeypatch.chdir(tmp_path)
    saved = {"avgG": test_gan_zoo.generator_layout(""), "netD": test_gan_zoo.critic_layout("")}
    torch.save(saved, tmp_path / "net.pt")
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def refused(result: Result, *messages: str) -> None:
    assert result.exit_code == 2, (result.stdout, result.exception)
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    for message in messages:
        assert message in result.stderr


def test_inspect() -> None:
    result = run("inspect", "net.pt")
    assert result.exit_code == 0, result.stderr
    for words in ("pytorch_GAN_zoo-pgan", "16 x 16, 3 channels", "6, 5, 4", "7, normal", "act6", "1024", "scores"):
        assert words in result.stdout
    assert "scale invariant      yes" in result.stdout


def test_inspect_as_json() -> None:
    found = json.loads(run("inspect", "net.pt", "--json").stdout)
    assert found["facts"]["format"] == "pytorch_GAN_zoo-pgan"
    assert found["check"]["latents"] == 4


def test_inspect_tells_of_implausible_output() -> None:
    state = {name: 40 * value for name, value in test_gan_zoo.generator_layout("").items()}
    torch.save(state, "loud.pt")
    result = run("inspect", "loud.pt")
    assert result.exit_code == 0
    assert "warning: pixels reach" in result.stderr


def test_inspect_of_an_embedded_model() -> None:
    assert "28 x 28, 1 channel\n" in run("inspect", "dcgan-mnist").stdout
    found = run("inspect", "pggan-mnist").stdout
    assert re.search(r"^minibatch deviation  0\.\d+ for every image, .*; consecutive groups of 4 in", found, re.M)


def test_convert_and_what_comes_of_it(here: Path) -> None:
    result = run("convert", "net.pt", "new/out.safetensors")
    assert result.exit_code == 0, result.stderr
    assert "pytorch_GAN_zoo-pgan -> egbas" in result.stdout
    assert "source format        pytorch_GAN_zoo-pgan" in run("inspect", "new/out.safetensors").stdout
    assert not [path for path in (here / "new").iterdir() if path.name != "out.safetensors"]
    refused(run("convert", "net.pt", "new/out.safetensors"), "--overwrite")
    assert run("convert", "net.pt", "new/out.safetensors", "--overwrite").exit_code == 0


def test_a_full_disk_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(save, "_write", full)
    refused(run("convert", "net.pt", "out.safetensors"), "out.safetensors")
    assert [path.name for path in here.iterdir()] == ["net.pt"]


def test_layers_of_a_checkpoint() -> None:
    listed = json.loads(run("layers", "net.pt", "--json").stdout)
    assert [layer["path"] for layer in listed] == [f"act{i}" for i in range(1, 7)]


def test_explore_and_load_again(here: Path) -> None:
    words = ["--layer", "2", "--iterations", "40", "--sparsity", "0.5", "--max-steps", "60", "--out", "run", "--quiet"]
    result = run("explore", "--model", "net.pt", *words, "--max-evaluations", "500")
    assert result.exit_code == 0, result.stderr
    config = json.loads((here / "run" / "config.json").read_text())
    assert config["model"]["name"] == "net.pt"
    assert len(load_run("run").latents) > 1
    (here / "net.pt").unlink()
    with pytest.raises(LookupError, match=r"net\.pt.*generator="):
        load_run("run")


def test_compare_uses_the_discriminator_of_the_file(here: Path) -> None:
    words = ["--layer", "2", "--iterations", "40", "--sparsity", "0.5", "--max-steps", "60", "--out", "run"]
    result = run("compare", "--model", "net.pt", *words, "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    metrics = {row["metric"] for row in json.loads(result.stdout)["rows"]}
    assert any("critic" in metric for metric in metrics)


COMMANDS: list[list[str]] = [
    ["inspect", "{}"],
    ["convert", "{}", "out.safetensors"],
    ["layers", "{}"],
    ["explore", "--model", "{}"],
    ["compare", "--model", "{}"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.pth", None, "there is no file missing.pth"),
        ("folder", "", "is a directory"),
        ("notes.txt", b"hello", "is text"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(9), "a PNG image"),
        ("empty.pth", b"", "is empty"),
        ("cut.pt", "cut", "damaged or truncated"),
        ("evil.pth", "evil", "Nothing in it has been run"),
        ("deep/er/missing.pth", None, "there is no file deep/er/missing.pth"),
    ],
)
def test_files_that_cannot_be_read(here: Path, command: list[str], name: str, content: Any, message: str) -> None:
    if name == "folder":
        (here / name).mkdir()
    elif content == "cut":
        (here / name).write_bytes((here / "net.pt").read_bytes()[:-500])
    elif content == "evil":
        (here / name).write_bytes(zipped(attacks(here / "marker")["system"]))
    elif content is not None:
        (here / name).write_bytes(content)
    refused(run(*(word.format(name) for word in command)), message)
    assert not (here / "marker").exists()
    assert not (here / "out.safetensors").exists()


def test_a_misspelt_name_is_no_file() -> None:
    refused(run("inspect", "dcgan-mnist-2"), "dcgan-mnist-2")
    refused(run("explore", "--model", "dcgan-mnist-2"), "did you mean 'dcgan-mnist-2d'", "path of its file")


def test_a_contradicting_latent_size_is_refused() -> None:
    refused(run("layers", "net.pt", "--latent-size", "9"), "--latent-size 9 contradicts net.pt")


def decoder() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 64), nn.Tanh()).eval()


def test_a_key_chooses_among_the_networks_of_a_file() -> None:
    torch.save({"G_A": test_gan_zoo.generator_layout("", 1), "G_B": test_gan_zoo.generator_layout("", 2)}, "two.pt")
    refused(run("inspect", "two.pt"), "'G_A' (pytorch_GAN_zoo-pgan), 'G_B'", "--key G_A")
    assert "weights of           G_B" in run("inspect", "two.pt", "--key", "G_B").stdout
    assert "act6" in run("layers", "two.pt", "--key", "G_A").stdout
    refused(run("layers", "two.pt", "--key", "G"), "no network 'G' in it", "G_A (")
    assert run("convert", "two.pt", "b.safetensors", "--key", "G_B").exit_code == 0
    assert "act6" in run("layers", "b.safetensors").stdout


def test_an_activation_is_said_on_the_command_line() -> None:
    torch.save(decoder().state_dict(), "m.pth")
    refused(run("layers", "m.pth"), "linear layers (3 -> 8 -> 64)", "--activation relu")
    refused(run("layers", "m.pth", "--activation", "rlu"), "'rlu' is unknown; expected one of relu")
    shown = run("layers", "m.pth", "--activation", "relu,tanh")
    assert "The image: 1 x 8 x 8" in shown.stdout
    told = run("inspect", "m.pth", "--activation", "relu,tanh", "--json")
    assert [layer["kind"] for layer in json.loads(told.stdout)["layers"]] == ["ReLU", "Tanh"]


def test_inspect_tells_of_vectors() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 5))
    torch.save(net.state_dict(), "v.pth")
    shown = run("inspect", "v.pth", "--activation", "relu")
    assert "images               5 values" in shown.stdout
    assert "channels" not in shown.stdout


@pytest.mark.parametrize("words", [("--key", "netG"), ("--activation", "relu")])
def test_a_choice_for_what_is_no_file_is_refused(here: Path, words: tuple[str, str]) -> None:
    (here / "mine_f.py").write_text("raise SystemExit('run')")
    refused(run("layers", "dcgan-mnist-2d", *words), f"{words[0]} {words[1]}", "no checkpoint file")
    refused(run("layers", "mine_f:generator", *words), f"{words[0]} {words[1]}", "no checkpoint file")


def test_a_network_of_no_known_kind_is_told_with_the_lines_that_load_it(here: Path) -> None:
    """The lines of the message, filled in, explore the network."""
    net = nn.Sequential(OrderedDict(fc=nn.Linear(3, 8), act=nn.ReLU(), out=nn.Linear(8, 16))).eval()
    torch.save({"epoch": 1, "best": net.state_dict()}, "x.pth")
    result = run("layers", "x.pth")
    refused(
        result,
        "of no format that egbas knows",
        "fc.weight   8 x 3",
        "out.bias    16",
        "--model package.module:callable",
    )
    lines = [line.strip() for line in result.stderr.splitlines() if line.startswith("    ")]
    code = lines[lines.index("import egbas, torch") :]
    assert len(code) == 6
    code.remove("from my_code import Generator  # the class")
    program = "\n".join(code).replace("layer=1", "layer='act', samples=0")
    exec(program, {"Generator": lambda: net})
    assert load_run(here / "runs/mine", generator=net).layer is not None
