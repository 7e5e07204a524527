# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch

from egbas.errors import ConfigError, ModelNotFoundError, NetworkError
from egbas.inputs.classifiers import find_classified, find_classifier, find_judge
from egbas.latent import Uniform
from egbas.network import Classified, Pixels

CODE = """
import torch
from torch import nn

def judge():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).eval()

def number():
    return 3

def shapes():
    return nn.Linear(2, 2, device="meta").eval()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "user_classifiers.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_generator_alone_stays_as_it_is() -> None:
    assert find_classified("dcgan-mnist-2d", None).name == "dcgan-mnist-2d"
    assert not isinstance(find_classified("dcgan-mnist-2d", None).generator, Classified)


def test_a_generator_and_a_classifier_of_the_zoo() -> None:
    found = find_classified("dcgan-mnist-2d", "lenet-mnist")
    assert isinstance(found.generator, Classified) and found.card is not None
    assert found.generator.classifier_name == "lenet-mnist"
    assert found.generator(torch.zeros(1, 2))["logits"].shape == (1, 10)


@pytest.mark.parametrize("model", ["lenet-mnist", "pixels"])
def test_an_embedded_classifier_in_input_space(model: str) -> None:
    found = find_classified(model, "lenet-mnist" if model == "pixels" else None)
    assert found.name == "pixels" and found.latent.shape == (1, 28, 28) and found.latent.prior == Uniform(1.0)
    assert isinstance(found.generator, Classified) and isinstance(found.generator.generator, Pixels)


def test_a_classifier_of_the_users_own(here: Path) -> None:
    found = find_classified("pixels", "user_classifiers:judge", latent_size="3x2x2")
    assert isinstance(found.generator, Classified)
    assert found.generator.classifier_name == "user_classifiers:judge"
    assert found.generator(torch.zeros(2, 3, 2, 2))["logits"].shape == (2, 3)


def test_what_cannot_be_found_is_told(here: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no model is called 'lenet'; did you mean 'lenet-mnist'\?.*own"):
        find_classified("dcgan-mnist-2d", "lenet")
    with pytest.raises(NetworkError, match=r"gave a int; expected a torch\.nn\.Module"):
        find_classified("pixels", "user_classifiers:number", latent_size="3x2x2")
    with pytest.raises(ModelNotFoundError, match=r"from --classifier user_nowhere:judge"):
        find_classified("pixels", "user_nowhere:judge", latent_size="3x2x2")


def test_sizes_and_two_classifiers(here: Path) -> None:
    with pytest.raises(ConfigError, match="their size is not known; pass --latent-size"):
        find_classified("pixels", "user_classifiers:judge")
    with pytest.raises(ConfigError, match="expected one: leave --classifier out"):
        find_classified("lenet-mnist", "user_classifiers:judge")


def test_a_judge_is_named_as_it_was_typed(here: Path) -> None:
    found = find_judge("user_classifiers:judge", "--critic")
    assert (found.zoo_name, found(torch.zeros(2, 3, 2, 2)).shape) == ("user_classifiers:judge", (2, 3))
    assert find_classifier("user_classifiers:judge").zoo_name == "user_classifiers:judge"
    assert find_classifier("lenet-mnist").zoo_name == "lenet-mnist"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lenet-mnist", "--critic 'lenet-mnist' is no package.module:callable"),
        ("user_nowhere:judge", "no module 'user_nowhere' .*from --critic user_nowhere:judge"),
        ("user_classifiers:juge", "no callable 'juge'; did you mean 'judge'"),
        ("user_classifiers:number", "--critic user_classifiers:number gave a int; expected a torch.nn.Module"),
        (
            "user_classifiers:shapes",
            "--critic user_classifiers:shapes gave a network with weights on the device 'meta'",
        ),
    ],
)
def test_what_is_no_judge_is_told_with_its_option(here: Path, name: str, told: str) -> None:
    with pytest.raises((ModelNotFoundError, NetworkError), match=told):
        find_judge(name, "--critic")
