# SPDX-License-Identifier: MIT
"""Train LeNet on MNIST: the classifier that judges the samples."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egbas.training.mnist import Mnist
from egbas.zoo.lenet import LeNet

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Settings of the classifier's training.

    Attributes:
        epochs: passes over the training set.
        batch_size: images a step.
        learning_rate: peak of the one-cycle schedule of AdamW.
        weight_decay: decoupled weight decay of AdamW.
        max_shift: largest random translation, in pixels.
        max_rotation: largest random rotation, in degrees.
        max_scale: largest relative change of size.
        seed: of the weights, the order of the images and their distortions.
    """

    epochs: int = 12
    batch_size: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    max_shift: float = 2.0
    max_rotation: float = 10.0
    max_scale: float = 0.1
    seed: int = 0


def train_classifier(config: ClassifierConfig, train: Mnist, progress: Progress) -> LeNet:
    """Train LeNet on randomly distorted digits and return it in eval mode."""
    rng = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng():  # initialisation and dropout draw from the global stream
        torch.manual_seed(config.seed)
        model = LeNet()
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        n_steps = config.epochs * math.ceil(len(train.labels) / config.batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=n_steps)
        for step, (images, labels) in enumerate(_batches(train, config, rng)):
            loss = F.cross_entropy(model(_distort(images, config, rng)), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            progress(step + 1, n_steps, f"loss {loss.item():.3f}")
    return model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, data: Mnist, batch_size: int = 500) -> float:
    """Share of images (0..1) that the classifier in eval mode puts in their class."""
    pairs = zip(data.images.split(batch_size), data.labels.split(batch_size), strict=True)
    return sum(int((model(images).argmax(1) == labels).sum()) for images, labels in pairs) / len(data.labels)


def _batches(data: Mnist, config: ClassifierConfig, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(config.epochs):
        for index in torch.randperm(len(data.labels), generator=rng).split(config.batch_size):
            yield data.images[index], data.labels[index]


def _distort(images: Tensor, config: ClassifierConfig, rng: torch.Generator) -> Tensor:
    n = len(images)
    uniform = 2 * torch.rand(n, 4, generator=rng) - 1
    angle = uniform[:, 0] * math.radians(config.max_rotation)
    scale = 1 + uniform[:, 1] * config.max_scale
    shift = uniform[:, 2:] * config.max_shift * 2 / images.shape[-1]  # grid_sample counts the image as 2 wide
    cos, sin = scale * angle.cos(), scale * angle.sin()
    affine = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1).view(n, 2, 3)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    # The background is -1, which zero padding would turn grey.
    return F.grid_sample(images + 1, grid, align_corners=False) - 1
