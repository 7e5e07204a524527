# SPDX-License-Identifier: MIT
import dataclasses

import pytest
import torch
from torch import nn

from egbas.training.classifier import ClassifierConfig, _distort, accuracy, train_classifier
from egbas.training.mnist import Mnist

STILL = ClassifierConfig(max_shift=0.0, max_rotation=0.0, max_scale=0.0)


def stripes(n: int) -> Mnist:
    """Images of class k have their row 2 k + 4 white."""
    labels = torch.arange(n) % 10
    images = torch.full((n, 1, 28, 28), -1.0)
    images[torch.arange(n), 0, 2 * labels + 4] = 1.0
    return Mnist(images=images, labels=labels)


def no_progress(done: int, total: int, text: str) -> None:
    pass


def test_training_learns_stripes() -> None:
    config = dataclasses.replace(STILL, epochs=8, batch_size=20)
    model = train_classifier(config, stripes(200), no_progress)
    assert accuracy(model, stripes(50)) == 1.0
    assert not model.training


def test_same_seed_gives_the_same_weights_and_leaves_the_global_stream() -> None:
    config = ClassifierConfig(epochs=1, batch_size=16)
    before = torch.get_rng_state()
    first, second = (train_classifier(config, stripes(32), no_progress).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), before)
    other = train_classifier(dataclasses.replace(config, seed=1), stripes(32), no_progress).state_dict()
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_progress_counts_every_step() -> None:
    seen = []
    config = ClassifierConfig(epochs=2, batch_size=16)
    train_classifier(config, stripes(40), lambda done, total, text: seen.append((done, total)))
    assert seen == [(step, 6) for step in range(1, 7)]


def test_accuracy_counts_the_last_smaller_batch() -> None:
    data = stripes(25)
    always_three = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.zeros_(always_three[1].weight)
    always_three[1].bias.data = torch.eye(10)[3]
    assert accuracy(always_three, data, batch_size=10) == 3 / 25


def test_no_distortion_is_the_identity() -> None:
    images = stripes(10).images
    torch.testing.assert_close(_distort(images, STILL, torch.Generator().manual_seed(0)), images)


def test_distortion_shifts_by_at_most_the_stated_pixels_onto_background() -> None:
    image = torch.full((500, 1, 28, 28), -1.0)
    image[:, :, 13:15, 13:15] = 1.0
    config = dataclasses.replace(STILL, max_shift=2.0)
    moved = (_distort(image, config, torch.Generator().manual_seed(0)) + 1) / 2
    weight = moved.sum((1, 2, 3))
    rows = (moved.sum((1, 3)) * torch.arange(28)).sum(1) / weight - 13.5
    assert weight == pytest.approx(torch.full((500,), 4.0), rel=1e-4)  # nothing grey is added, nothing lost
    # The largest of 500 draws exceeds 99 % of the bound but with a chance of 0.7 %; the seed is fixed.
    assert 1.98 < rows.abs().max() <= 2.0 + 1e-4
