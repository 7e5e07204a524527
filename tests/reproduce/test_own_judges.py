# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import ModelNotFoundError, NetworkError
from egbas.reproduce.own_judges import OwnJudges, name_of
from egbas.zoo.models import load_classifier

CODE = """
from torch import nn

def critic():
    return nn.Sequential(nn.Flatten(), nn.ReLU()).eval()

def classifier():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
"""


def images() -> Tensor:
    return torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]], [[[0.0, 1.0], [0.0, -1.0]]]])


def unasked() -> Tensor:
    raise AssertionError("nothing is named, and images are asked for")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "user_own_judges.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_by_their_names(here: None) -> None:
    own = OwnJudges.named("user_own_judges:classifier", "user_own_judges:critic")
    assert (name_of(own.classifier), name_of(own.critic)) == ("user_own_judges:classifier", "user_own_judges:critic")
    own.check(images)
    none = OwnJudges.named(None, None)
    assert (none.critic, none.classifier, name_of(none.critic)) == (None, None, None)
    none.check(unasked)


def test_an_embedded_classifier_is_no_foreign_one(here: None) -> None:
    assert not OwnJudges().has_foreign
    assert not OwnJudges.named("lenet-mnist", None).has_foreign
    assert OwnJudges.named("user_own_judges:classifier", None).has_foreign
    assert OwnJudges(critic=load_classifier("lenet-mnist"), classifier=nn.Flatten()).has_foreign


def test_a_network_without_a_name_has_that_of_its_class() -> None:
    assert name_of(nn.Flatten()) == "Flatten"


def test_what_is_not_there(here: None) -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean 'lenet-mnist'"):
        OwnJudges.named("lenet", None)
    with pytest.raises(ModelNotFoundError, match="no callable 'critik'"):
        OwnJudges.named(None, "user_own_judges:critik")


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (OwnJudges(critic=nn.ReLU()), "--critic ReLU: the discriminator is in train mode"),
        (
            OwnJudges(critic=nn.Conv2d(3, 1, 1).eval()),
            "--critic Conv2d: .*raised RuntimeError on images of shape .*3 channels",
        ),
        (OwnJudges(critic=nn.Flatten().eval()), "--critic Flatten: it has no non-linearity"),
        (OwnJudges(classifier=nn.Flatten()), "--classifier Flatten: the classifier is in train mode"),
        (OwnJudges(classifier=load_classifier("lenet-mnist")), "--classifier lenet-mnist: the classifier raised Run"),
    ],
)
def test_what_cannot_judge_the_images_is_told_with_its_option(own: OwnJudges, told: str) -> None:
    with pytest.raises(NetworkError, match=told):
        own.check(images)
