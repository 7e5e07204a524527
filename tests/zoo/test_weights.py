# SPDX-License-Identifier: MIT
"""The embedded weights are what their cards say."""

from pathlib import Path

import pytest
import torch

from egbas.training.classifier import accuracy
from egbas.training.mnist import load_mnist
from egbas.training.quality import Judge
from egbas.zoo.card import ModelCard, sha256
from egbas.zoo.models import FEATURE_LAYER, WEIGHTS, cards, load_classifier, load_model

ALL = cards()
GENERATORS = [card for card in ALL if card.latent]
each = pytest.mark.parametrize("card", ALL, ids=lambda card: card.name)
each_generator = pytest.mark.parametrize("card", GENERATORS, ids=lambda card: card.name)


@each
def test_checksum_fits(card: ModelCard) -> None:
    assert sha256(WEIGHTS / f"{card.name}.safetensors") == card.sha256


@each
def test_weights_are_small_enough_to_embed(card: ModelCard) -> None:
    assert (WEIGHTS / f"{card.name}.safetensors").stat().st_size < 4 * 2**20


def test_classifier_puts_992_of_1000_test_digits_in_their_class(mnist_folder: Path) -> None:
    found = accuracy(load_classifier("lenet-mnist"), load_mnist(mnist_folder, "test"))
    assert found >= 0.992
    (card,) = (card for card in ALL if card.name == "lenet-mnist")
    # Other machines round otherwise; a digit or two may change sides.
    assert found == pytest.approx(card.metrics["test_accuracy"], abs=5e-4)


@each_generator
def test_recorded_shares_cover_eight_digits(card: ModelCard) -> None:
    shares = card.metrics["shares"]
    assert len(shares) == 10
    assert sum(shares) == pytest.approx(1)
    assert sum(share >= 0.03 for share in shares) >= 8


@each_generator
def test_measured_quality_is_the_recorded_one(card: ModelCard) -> None:
    model = load_model(card.name)
    blank = torch.full((2, 1, 28, 28), -1.0)  # the distance to real images is not looked at here
    quality = Judge(load_classifier("lenet-mnist"), FEATURE_LAYER, blank).quality(
        model.generator, model.latent, n_samples=1_000, seed=3
    )
    # The deviation of one confidence is about 0.15, so the standard error is 0.005: four of them.
    assert quality.confidence == pytest.approx(card.metrics["confidence"], abs=0.02)
    # A share of 1,000 has a standard error of at most 0.016: again four.
    assert quality.shares == pytest.approx(card.metrics["shares"], abs=0.064)


@each_generator
def test_images_differ_and_fill_the_range(card: ModelCard) -> None:
    model = load_model(card.name)
    images = model.generator(model.latent.sample(64, rng=torch.Generator().manual_seed(0)))
    side = 32 if card.architecture["family"] == "pggan" else 28
    assert images.shape == (64, 1, side, side)
    assert images.min() < -0.99
    assert images.max() > 0.9
    assert images.std(0).max() > 0.5
