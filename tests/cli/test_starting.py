# SPDX-License-Identifier: MIT
"""``--image``, as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import egbas
from egbas.cli import app
from egbas.cli.starting import check_start
from egbas.errors import ConfigError

MODULE = '''
from torch import nn
import egbas


class Squares(nn.Module):
    """Four grey squares, 8 x 8 pixels in 0..1, whose brightness is that of the latent's coordinates."""

    latent = egbas.LatentSpace(shape=(4,), prior="uniform")
    image_range = (0.0, 1.0)

    def forward(self, z):
        return (z.relu() + 0.02 * z.abs()).reshape(-1, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)


def network():
    return Squares().eval()


def encoder(images):
    return images[:, 0, ::4, ::4].flatten(1) / 1.02


class Brightest(nn.Module):
    def forward(self, images):
        return images[:, 0, ::4, ::4].flatten(1)


def judge():
    return Brightest().eval()


def coded():
    return egbas.Decoder(Squares().eval(), shape=(4,), scale=2.0, encoder=encoder, image_range=(0.0, 1.0))
'''
QUICK = [
    "--layer",
    "1",
    "--samples",
    "0",
    "--iterations",
    "40",
    "--max-steps",
    "60",
    "--sparsity",
    "0.3",
    "--out",
    "run",
]
LEVELS = np.array([[0.2, 0.9], [0.5, 0.7]])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("starting_networks.py").write_text(MODULE)
    pixels = (255 * LEVELS).round().astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    Image.fromarray(pixels).save("own.png")
    checkers = np.indices((8, 8)).sum(axis=0) % 2 * 255
    Image.fromarray(checkers.astype(np.uint8)).save("checkers.png")


def called(command: str, *words: str, model: str = "network") -> Result:
    return CliRunner().invoke(app, [command, "--model", f"starting_networks:{model}", *words])


def test_a_picture_is_inverted_explored_and_recorded() -> None:
    result = called("explore", "--image", "own.png", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "found by inversion" in result.stdout
    config = json.loads(Path("run/config.json").read_text())
    source = config["source"]
    assert (source["file"], source["how"], source["encoder"]) == ("own.png", "inversion", None)
    assert source["error"] < 0.02
    assert np.array(config["query"]) * 1.02 == pytest.approx(LEVELS.ravel(), abs=0.03)
    assert "own.png" in Path("run/report.html").read_text()
    from starting_networks import network  # pyright: ignore[reportMissingImports]

    run = egbas.load_run("run", generator=network())
    assert run.source is not None
    assert run.source.record() == source
    assert run.source.image[0, ::4, ::4].numpy() == pytest.approx(LEVELS, abs=0.003)
    tensors = load_file("run/samples.safetensors")
    del tensors["source"]
    save_file(tensors, "run/samples.safetensors")
    with pytest.raises(egbas.RunDirectoryError, match="source is missing"):
        egbas.load_run("run", generator=network())


@pytest.mark.parametrize(
    ("model", "words"), [("network", ["--encoder", "starting_networks:encoder"]), ("coded", [])], ids=["named", "own"]
)
def test_an_encoder_comes_before_inversion(model: str, words: list[str]) -> None:
    result = called("explore", "--image", "own.png", *words, *QUICK, model=model)
    assert result.exit_code == 0, result.stderr
    config = json.loads(Path("run/config.json").read_text())
    assert config["source"]["how"] == "encoder"
    assert config["source"]["error"] < 0.01
    scale = 2.0 if model == "coded" else 1.0
    assert np.array(config["query"]) * 1.02 / scale == pytest.approx(LEVELS.ravel(), abs=0.003)


@pytest.mark.parametrize("words", [[], ["--encoder", "starting_networks:encoder"]], ids=["own", "named"])
def test_an_encoder_comes_before_inversion_behind_a_classifier_too(words: list[str]) -> None:
    judged = ["--classifier", "starting_networks:judge", "--region", "class", "--samples", "0", "--iterations", "20"]
    result = called("explore", "--image", "own.png", *words, *judged, "--out", "run", model="coded")
    assert result.exit_code == 0, result.stderr
    config = json.loads(Path("run/config.json").read_text())
    assert (config["source"]["how"], config["class"]) == ("encoder", 1)
    assert config["image"]["range"] == {"low": 0.0, "high": 1.0, "source": "generator"}
    assert np.array(config["query"]) * 1.02 / 2.0 == pytest.approx(LEVELS.ravel(), abs=0.003)


def test_in_input_space_a_picture_is_its_own_latent() -> None:
    words = ["--model", "pixels", "--latent-size", "1x8x8", "--classifier", "starting_networks:judge"]
    words = ["explore", *words, "--region", "class", "--samples", "0", "--iterations", "20", "--image", "own.png"]
    result = CliRunner().invoke(app, [*words, "--out", "run"])
    assert result.exit_code == 0, result.stderr
    assert "own.png itself" in result.stdout
    config = json.loads(Path("run/config.json").read_text())
    assert (config["source"]["how"], config["source"]["error"]) == ("itself", 0.0)
    assert np.array(config["query"]).reshape(8, 8)[::4, ::4] == pytest.approx(2 * LEVELS - 1, abs=0.005)
    run = egbas.load_run("run", allow_code=True)
    assert run.source is not None and run.source.how == "itself"
    result = CliRunner().invoke(app, [*words, "--bank", "5", "--out", "other"])
    assert result.exit_code == 2 and "the image itself" in " ".join(result.stderr.split())


def test_another_image_is_refused_unless_forced() -> None:
    result = called("explore", "--image", "checkers.png", *QUICK)
    assert result.exit_code == 2
    assert "differs from checkers.png by" in result.stderr
    assert "--force" in result.stderr
    assert not Path("run").exists()
    result = called("explore", "--image", "checkers.png", "--force", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "not about the file's" in " ".join(result.stderr.split())


def test_the_other_commands_take_pictures() -> None:
    words = ["--image", "own.png", "--max-steps", "60"]
    result = called("path", *words, "--layer", "1", "--level", "2", "--samples", "5", "--out", "p")
    assert result.exit_code == 0, result.stderr
    assert json.loads(Path("p/path.json").read_text())["source"]["file"] == "own.png"
    assert "--image own.png" in Path("p/path.html").read_text()
    result = called("neighbours", *words, "--layer", "1", "--bank", "50", "--count", "3", "--out", "n")
    assert result.exit_code == 0, result.stderr
    assert json.loads(Path("n/neighbours.json").read_text())["source"]["how"] == "inversion"
    result = called("compare", *words, "--layer", "1", "--iterations", "40", "--out", "c")
    assert result.exit_code == 0, result.stderr
    assert json.loads(Path("c/comparison.json").read_text())["config"]["first"]["source"]["file"] == "own.png"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--image", "own.png", "--latent", "3"], "each is a query"),
        (["--image", "missing.png"], "there is no such file"),
        (["--encoder", "starting_networks:encoder"], "without --image"),
        (["--force"], "without --image"),
        (["--image", "own.png", "--encoder", "starting_networks:network"], "the encoder raised"),
        (["--image", "own.png", "--encoder", "starting_networks:nobody"], "no callable 'nobody'"),
    ],
)
def test_mistakes_end_in_a_message(words: list[str], message: str) -> None:
    result = called("explore", *words, *QUICK)
    assert result.exit_code == 2, result.stdout
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not Path("run").exists()


def test_compare_takes_one_picture() -> None:
    result = called("compare", "--image", "own.png", "--queries", "2")
    assert result.exit_code == 2
    assert "--image gives the queries" in " ".join(result.stderr.split())


def test_a_start_is_one_query() -> None:
    check_start(latent=None, image="a.png", encoder="m:e", force=True)
    check_start(latent="3", image=None, encoder=None, force=False)
    with pytest.raises(ConfigError):
        check_start(latent="3", image="a.png", encoder=None, force=False)


def test_an_inversion_begins_with_a_bank() -> None:
    exact = torch.tensor(LEVELS.flatten(), dtype=torch.float32) / 1.02
    save_file({"query": torch.stack([exact, -exact])}, "bank.safetensors")
    result = called("explore", "--image", "own.png", "--bank", "bank.safetensors", *QUICK)
    assert result.exit_code == 0, result.stderr
    source = json.loads(Path("run/config.json").read_text())["source"]
    assert source["start_error"] < 0.01 and source["evaluations"] == 2  # the bank holds it: nothing is left to do
    for words, model, message in (
        (["--bank", "bank.safetensors"], "network", "without --image"),
        (["--image", "own.png", "--bank", "5", "--encoder", "starting_networks:encoder"], "network", "leave one out"),
        (["--image", "own.png", "--bank", "5"], "coded", "the model has an encoder"),
        (["--image", "own.png", "--bank", "none.npy"], "network", "there is no file none.npy"),
    ):
        result = called("explore", *words, *QUICK, "--overwrite", model=model)
        assert result.exit_code == 2 and message in result.stderr, (words, result.stderr)


@pytest.mark.parametrize("command", ["estimate", "sanity"])
def test_other_commands_begin_with_a_picture(command: str) -> None:
    small = ["--samples", "5", "--max-evaluations", "300", "--sets", "1", "--out", "sane", "--quiet"]
    words = ["--layer", "1", "--max-steps", "60", "--json", *(small if command == "sanity" else [])]
    far = called(command, "--image", "checkers.png", *words)
    assert far.exit_code == 2 and "--force" in far.stderr
    result = called(command, "--image", "own.png", *words)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    if command == "sanity":
        assert told["source"]["file"] == "own.png" and told["source"]["error"] < 0.05
        assert "--image own.png" in Path("sane/sanity.html").read_text()
    both = called(command, "--image", "own.png", "--latent", "3", *words)
    assert both.exit_code == 2 and "leave one out" in both.stderr
