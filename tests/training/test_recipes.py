# SPDX-License-Identifier: MIT
from dataclasses import asdict, replace
from functools import partialmethod
from pathlib import Path

import pytest
import torch

from egbas.errors import DataError, ModelNotFoundError
from egbas.latent import LatentSpace
from egbas.training import recipes
from egbas.training.mnist import Mnist
from egbas.training.quality import Judge
from egbas.zoo.models import cards, load_classifier, load_model


def no_progress(done: int, total: int, text: str) -> None:
    pass


def fake_mnist(folder: Path, split: str) -> Mnist:
    rng = torch.Generator().manual_seed(0)
    return Mnist(images=torch.rand(40, 1, 28, 28, generator=rng) * 2 - 1, labels=torch.arange(40) % 10)


def test_every_recipe_has_its_parts() -> None:
    assert recipes.WGANS.keys() == recipes.LATENTS.keys() == recipes.FIRST_OFFSETS.keys()
    assert recipes.SUMMARIES.keys() == {*recipes.WGANS, "lenet-mnist"}


def test_every_recipe_has_its_weights() -> None:
    assert {card.name for card in cards()} == set(recipes.SUMMARIES)


@pytest.mark.parametrize("card", cards(), ids=lambda card: card.name)
def test_card_says_what_its_recipe_says(card) -> None:
    assert card.summary == recipes.SUMMARIES[card.name]
    config = recipes.CLASSIFIER if card.name == "lenet-mnist" else recipes.WGANS[card.name]
    assert asdict(config).items() <= card.settings.items()
    assert card.data["md5"] == recipes.checksums()
    if card.name in recipes.LATENTS:
        latent = recipes.LATENTS[card.name]
        assert LatentSpace(**{**card.latent, "shape": tuple(card.latent["shape"])}) == latent
        assert card.architecture["latent_size"] == latent.size
        assert card.architecture["channels"] == list(recipes.CHANNELS)
        assert card.architecture["critic_channels"] == list(recipes.CRITIC_CHANNELS)


def test_unknown_name_tells_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no model is called 'dcgan-mnis'; did you mean 'dcgan-mnist'"):
        recipes.train("dcgan-mnis", tmp_path, tmp_path, no_progress)


@pytest.mark.parametrize("name", sorted(recipes.SUMMARIES))
def test_missing_data_is_told_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="--data needs a folder"):
        recipes.train(name, tmp_path / "none", tmp_path / "out", no_progress)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", sorted(recipes.WGANS))
def test_trained_generator_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(recipes, "load_mnist", fake_mnist)
    tiny = replace(recipes.WGANS[name], steps=1, batch_size=4, evaluate_every=1)
    monkeypatch.setitem(recipes.WGANS, name, tiny)
    monkeypatch.setattr(recipes, "CHANNELS", (8, 4, 4, 4))
    monkeypatch.setattr(Judge, "quality", partialmethod(Judge.quality, n_samples=200))
    card = recipes.train(name, tmp_path, tmp_path / "out", no_progress)
    model = load_model(name, tmp_path / "out")
    assert model.sha256 == card.sha256
    assert model.generator(torch.zeros(2, model.latent.size)).shape == (2, 1, 28, 28)
    assert sum(card.metrics["shares"]) == pytest.approx(1)
    assert card.metrics["step"] == 1


def test_trained_classifier_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "load_mnist", fake_mnist)
    monkeypatch.setattr(recipes, "CLASSIFIER", replace(recipes.CLASSIFIER, epochs=1))
    card = recipes.train("lenet-mnist", tmp_path, tmp_path / "out", no_progress)
    assert 0 <= card.metrics["test_accuracy"] <= 1
    assert load_classifier("lenet-mnist", tmp_path / "out")(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
