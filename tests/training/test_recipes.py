# SPDX-License-Identifier: MIT
import json
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
from egbas.zoo.pggan import PgganConfig, PgganCriticConfig


def no_progress(done: int, total: int, text: str) -> None:
    pass


def fake_mnist(folder: Path, split: str) -> Mnist:
    rng = torch.Generator().manual_seed(0)
    return Mnist(images=torch.rand(40, 1, 28, 28, generator=rng) * 2 - 1, labels=torch.arange(40) % 10)


def test_every_recipe_has_its_parts() -> None:
    assert recipes.WGANS.keys() == recipes.FIRST_OFFSETS.keys()
    assert recipes.LATENTS.keys() == {*recipes.WGANS, *recipes.PGGANS}
    assert recipes.SUMMARIES.keys() == {*recipes.LATENTS, "lenet-mnist"}


def test_every_recipe_has_its_weights() -> None:
    assert {card.name for card in cards()} == set(recipes.SUMMARIES)


@pytest.mark.parametrize("card", cards(), ids=lambda card: card.name)
def test_card_says_what_its_recipe_says(card) -> None:
    assert card.summary == recipes.SUMMARIES[card.name]
    config = {"lenet-mnist": recipes.CLASSIFIER, **recipes.WGANS, **recipes.PGGANS}[card.name]
    assert as_json(asdict(config)).items() <= card.settings.items()
    assert card.data["md5"] == recipes.checksums()
    if card.name in recipes.LATENTS:
        latent = recipes.LATENTS[card.name]
        assert LatentSpace(**{**card.latent, "shape": tuple(card.latent["shape"])}) == latent
    if card.name in recipes.WGANS:
        assert card.architecture["latent_size"] == recipes.LATENTS[card.name].size
        assert card.architecture["channels"] == list(recipes.CHANNELS)
        assert card.architecture["critic_channels"] == list(recipes.CRITIC_CHANNELS)
    if card.name in recipes.PGGANS:
        assert PgganConfig.from_json(card.architecture["generator"]) == recipes.PGGAN_GENERATOR
        assert PgganCriticConfig.from_json(card.architecture["critic"]) == recipes.PGGAN_CRITIC


def as_json(values: dict) -> dict:
    """Values as a card holds them."""
    return json.loads(json.dumps(values))


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


@pytest.mark.parametrize("name", sorted(recipes.PGGANS))
def test_trained_pggan_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(recipes, "load_mnist", fake_mnist)
    tiny = replace(recipes.PGGANS[name], steps=4, growth=(1, 2, 3), fade_steps=1, batch_size=4, evaluate_every=1)
    monkeypatch.setitem(recipes.PGGANS, name, tiny)
    channels = (6, 4, 4, 3)
    monkeypatch.setattr(recipes, "PGGAN_GENERATOR", replace(recipes.PGGAN_GENERATOR, channels=channels))
    monkeypatch.setattr(recipes, "PGGAN_CRITIC", replace(recipes.PGGAN_CRITIC, channels=channels))
    monkeypatch.setattr(Judge, "quality", partialmethod(Judge.quality, n_samples=200))
    card = recipes.train(name, tmp_path, tmp_path / "out", no_progress)
    model = load_model(name, tmp_path / "out")
    assert model.sha256 == card.sha256
    images = model.generator(torch.randn(2, model.latent.size, generator=torch.Generator().manual_seed(0)))
    assert images.shape == (2, 1, 32, 32)
    assert model.discriminator is not None
    assert model.discriminator.get_buffer("deviation.reference") > 0
    assert card.metrics["step"] == 4


def test_digits_are_padded_with_black(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(Exception):
        pass

    def look(*arguments: torch.Tensor) -> None:
        raise Seen(arguments[-1])

    monkeypatch.setattr(recipes, "load_mnist", fake_mnist)
    monkeypatch.setattr(recipes, "Progressive", look)
    with pytest.raises(Seen) as seen:
        recipes.train("pggan-mnist", tmp_path, tmp_path, no_progress)
    (images,) = seen.value.args
    assert torch.equal(images[..., 2:30, 2:30], fake_mnist(tmp_path, "train").images)
    images[..., 2:30, 2:30] = -1
    assert torch.equal(images, torch.full((40, 1, 32, 32), -1.0))


def test_trained_classifier_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "load_mnist", fake_mnist)
    monkeypatch.setattr(recipes, "CLASSIFIER", replace(recipes.CLASSIFIER, epochs=1))
    card = recipes.train("lenet-mnist", tmp_path, tmp_path / "out", no_progress)
    assert 0 <= card.metrics["test_accuracy"] <= 1
    assert load_classifier("lenet-mnist", tmp_path / "out")(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
