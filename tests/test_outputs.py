# SPDX-License-Identifier: MIT
"""Videos, audio, volumes and flat vectors are explored, saved, pictured and read back as images are."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import egbas
from egbas.beropt import BerOptConfig
from egbas.errors import ConfigError

QUICK = BerOptConfig(sparsity=0.5, anneal_steps=20, max_steps=40)
SHAPES = {
    "a flat image": (64,),
    "a vector": (10,),
    "audio": (1, 600),
    "stereo with an axis more": (2, 1, 40),
    "a video": (3, 5, 4, 6),
    "a video, time first": (5, 3, 4, 6),
    "a volume": (1, 6, 4, 4),
    "a stack of slices": (6, 4, 4),
    "six dimensions": (2, 2, 2, 3, 4),
}


def network(shape: tuple[int, ...]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        size = int(torch.tensor(shape).prod())
        return nn.Sequential(
            nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, size), nn.Unflatten(1, shape) if len(shape) > 1 else nn.Identity()
        ).eval()


@pytest.mark.parametrize("name", SHAPES)
def test_outputs_of_any_shape_are_explored_saved_and_read_back(name: str, tmp_path: Path) -> None:
    shape, z0 = SHAPES[name], torch.tensor([1.0, -0.5, 0.3])
    generator = network(shape)
    run = egbas.explore(
        generator,
        z0,
        1,
        rng=0,
        beropt=QUICK,
        gbrrt=egbas.GbRrtConfig(iterations=20),
        samples=20,
        max_evaluations=2000,
    )
    assert run.images().shape[1:] == shape
    assert run.freedom is not None
    assert run.freedom.shape == shape
    folder = run.save(tmp_path / "run")
    again = egbas.load_run(folder, generator=generator)
    assert torch.equal(again.freedom.nan_to_num(-1), run.freedom.nan_to_num(-1))  # pyright: ignore[reportOptionalMemberAccess]
    assert again.metrics() == run.metrics()
    told = json.loads((folder / "config.json").read_text())["image"]
    assert told["shape"] == list(shape)
    with Image.open(folder / "samples.png") as sheet:
        assert len(sheet.convert("RGB").getcolors(1 << 20) or ()) > 10  # something is drawn
    page = (folder / "report.html").read_text()
    is_image = told["kind"] == "image"
    assert ("the pixels (from" in page) == is_image
    assert ("the values (from" in page) == (not is_image)
    assert ("averaged over channels" in page) == (told["kind"] in {"image", "frames"})


def test_a_damaged_freedom_of_a_vector_is_told(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    generator = network((10,))
    run = egbas.explore(
        generator,
        torch.tensor([1.0, -0.5, 0.3]),
        1,
        rng=0,
        beropt=QUICK,
        samplers=["prior"],
        samples=20,
        max_evaluations=2000,
    )
    file = run.save(tmp_path / "run") / "region.safetensors"
    save_file({**load_file(file), "freedom": torch.zeros(9)}, file)
    with pytest.raises(egbas.RunDirectoryError, match=r"freedom is of shape \(9,\); expected shape \(10,\)"):
        egbas.load_run(file.parent, generator=generator)


@pytest.mark.parametrize("shape", [(10,), (1, 600), (64,)])
def test_a_focus_needs_an_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"a focus is a part of images \(c, h, w\)"):
        egbas.explore(network(shape), torch.ones(3), 1, rng=0, focus=(0, 0, 1, 1))


def test_words_do_not_call_a_signal_an_image() -> None:
    run = egbas.explore(
        network((1, 600)), torch.tensor([1.0, -0.5, 0.3]), 1, rng=0, beropt=QUICK, samplers=["prior"], samples=20
    )
    assert run.facts is not None
    assert "image" not in run.facts.words
    assert "signal" in run.facts.words


def test_a_path_of_audio_has_a_page_and_a_picture() -> None:
    from egbas.report.path_page import figure_of, render_path

    path = egbas.explore_path(
        network((1, 600)), torch.tensor([1.0, -0.5, 0.3]), [1], [2], rng=0, beropt=QUICK, samples=10
    )
    assert "layers by levels" in render_path(path)
    assert figure_of(path).axes
