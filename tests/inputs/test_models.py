# SPDX-License-Identifier: MIT
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from egbas.errors import CheckpointError, ConfigError, ModelNotFoundError, NetworkError
from egbas.inputs.models import contained, find_callable, find_model, parse_shape
from egbas.latent import Uniform
from egbas.zoo.models import Model


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("text", "shape"), [("64", (64,)), ("512x1x1", (512, 1, 1)), ("4X2", (4, 2))])
def test_shapes(text: str, shape: tuple[int, ...]) -> None:
    assert parse_shape(text) == shape


@pytest.mark.parametrize("text", ["", "x", "-3", "0", "1.5", "many"])
def test_shapes_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="--latent-size"):
        parse_shape(text)


def test_zoo_models_and_their_nearest_names() -> None:
    assert find_model("dcgan-mnist-2d", None).latent.size == 2
    with pytest.raises(ModelNotFoundError, match="did you mean"):
        find_model("dcgan-minst", None)


def test_paths_are_checkpoints(here: Path) -> None:
    (here / "weights.pth").touch()
    for name, message in {
        "weights.pth": "is empty",
        "other.pth": "no file",
        "./x": "no file",
        ".": "directory",
    }.items():
        with pytest.raises(CheckpointError, match=message):
            find_model(name, None)


def test_a_network_may_bring_its_latent_or_be_a_model(here: Path) -> None:
    (here / "user_models.py").write_text(
        "from torch import nn\nfrom egbas.latent import LatentSpace, Uniform\nfrom egbas.zoo.models import Model\n"
        "def carries():\n    net = nn.Linear(4, 4)\n"
        "    net.latent = LatentSpace(shape=(4,), prior='uniform')\n    return net\n"
        "def whole():\n    return Model(name='mine', generator=nn.Linear(4, 4), discriminator=None,\n"
        "                 latent=LatentSpace(shape=(4,)))\n"
        "plain = nn.Linear(4, 4)\n"
    )
    assert find_model("user_models:carries", None).latent.prior == Uniform(1.0)
    assert find_model("user_models:carries", "2x2").latent.shape == (2, 2)
    assert find_model("user_models:whole", None).name == "mine"
    assert isinstance(find_model("user_models:plain", "4"), Model)
    np.save("z.npy", np.zeros((1, 4)))
    assert find_model("user_models:plain", None, "z.npy").latent.shape == (4,)


@pytest.mark.parametrize("spec", [":make", "module:"])
def test_half_a_callable(spec: str) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no package\.module:callable"):
        find_model(spec, None)


def test_callables_are_found_and_not_called(here: Path) -> None:
    (here / "user_find_judges.py").write_text(
        "def smile(images):\n    raise RuntimeError\nclass Pose:\n    pass\nage = 3\n"
    )
    assert find_callable("user_find_judges:smile", "--judge").__name__ == "smile"
    assert find_callable("user_find_judges:Pose").__name__ == "Pose"
    with pytest.raises(ModelNotFoundError, match="no callable 'smle'; did you mean 'smile'"):
        find_callable("user_find_judges:smle", "--judge")
    with pytest.raises(ModelNotFoundError, match="no callable 'age'"):
        find_callable("user_find_judges:age", "--judge")


def test_the_message_names_the_option(here: Path) -> None:
    for option in ("--judge", "--features"):
        with pytest.raises(ModelNotFoundError, match=rf"no module 'user_missing' .*\(from {option} user_missing:f\)"):
            find_callable("user_missing:f", option)
    (here / "user_find_failing.py").write_text("raise ValueError('not today')\n")
    with pytest.raises(NetworkError, match="importing user_find_failing failed: ValueError: not today"):
        find_callable("user_find_failing:f", "--judge")


LOUD = """
import os, random, sys
import numpy, torch
os.chdir("/")
random.seed(0); numpy.random.seed(0); torch.manual_seed(0)
print("hello")
def generator():
    os.chdir("/"); torch.manual_seed(1)
    return torch.nn.Linear(4, 4)
def judge(images):
    print("judging")
    return {"one": images.flatten(1)[:, 0]}
"""


def test_code_of_the_users_changes_neither_the_directory_nor_random_numbers(here: Path) -> None:
    (here / "loud.py").write_text(LOUD)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    made = [find_model("loud:generator", "4").generator.weight for _ in range(2)]
    find_callable("loud:judge", "--judge")
    assert torch.equal(*made)  # the module's own seed is in force where the network is made
    assert Path.cwd() == here
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    pythons = random.getstate()
    with contained():
        random.seed(0)
    assert random.getstate() == pythons


def test_a_module_that_ends_the_program_is_told(here: Path) -> None:
    (here / "leaves.py").write_text("raise SystemExit(0)")
    with pytest.raises(NetworkError, match="importing leaves failed"):
        find_callable("leaves:generator")


def test_whatever_a_module_raises_is_told(here: Path) -> None:
    (here / "closes.py").write_text("raise GeneratorExit")
    (here / "own.py").write_text("class Own(BaseException):\n    pass\ndef generator():\n    raise Own('so')")
    with pytest.raises(NetworkError, match="importing closes failed: GeneratorExit"):
        find_callable("closes:generator")
    with pytest.raises(NetworkError, match=r"calling own:generator failed: own\.Own: so"):
        find_model("own:generator", "4")


def test_folders_that_a_module_takes_off_the_path_come_back(here: Path) -> None:
    before = list(sys.path)
    (here / "clears.py").write_text("import sys\nsys.path[:] = ['/added']\ndef judge():\n    pass")
    try:
        find_callable("clears:judge", "--judge")
        assert set(sys.path) == {*before, str(here), "/added"}
    finally:
        sys.path[:] = before


def test_a_network_without_numbers_is_told(here: Path) -> None:
    (here / "shapes.py").write_text(
        "import torch\ndef generator():\n    with torch.device('meta'):\n        return torch.nn.Linear(2, 3)"
    )
    with pytest.raises(NetworkError, match="weights on the device 'meta'"):
        find_model("shapes:generator", "2")
