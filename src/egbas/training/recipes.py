# SPDX-License-Identifier: MIT
"""How each embedded model was made: settings, training, measurements, export (``egbas train NAME``)."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egbas.latent import LatentSpace
from egbas.training.classifier import ClassifierConfig, accuracy, train_classifier
from egbas.training.mnist import checksums, load_mnist
from egbas.training.progressive import Progressive, ProgressiveConfig
from egbas.training.quality import Judge
from egbas.training.wgan import Wgan, WganConfig
from egbas.zoo.card import ModelCard, save_weights
from egbas.zoo.mnist_dcgan import DcganCritic, DcganGenerator
from egbas.zoo.models import FEATURE_LAYER, load_classifier, unknown_model
from egbas.zoo.pggan import PgganConfig, PgganCritic, PgganCriticConfig, PgganGenerator

Progress = Callable[[int, int, str], None]

CLASSIFIER = ClassifierConfig(epochs=6)
WGANS: dict[str, WganConfig] = {
    "dcgan-mnist-2d": WganConfig(steps=7_000, decay_from=0.6),
    "dcgan-mnist": WganConfig(steps=7_000, decay_from=0.6),
}
PGGANS: dict[str, ProgressiveConfig] = {
    "pggan-mnist": ProgressiveConfig(
        steps=30_000,
        growth=(1_200, 3_500, 7_000),
        fade_steps=1_200,
        critic_steps=1,
        batch_size=32,
        generator_lr=1.5e-3,
        critic_lr=2e-3,
        decay_from=0.5,
        ema_decay=0.999,
        evaluate_every=1_000,
    ),
}
LATENTS: dict[str, LatentSpace] = {
    "dcgan-mnist-2d": LatentSpace(shape=(2,), prior="uniform", bound=1.0),
    "dcgan-mnist": LatentSpace(shape=(64,), prior="normal"),
    "pggan-mnist": LatentSpace(shape=(64,), prior="normal"),
}
SUMMARIES = {
    "dcgan-mnist-2d": "DCGAN (Wasserstein, gradient penalty) on MNIST, 2-D uniform latent, with its critic",
    "dcgan-mnist": "DCGAN (Wasserstein, gradient penalty) on MNIST, 64-D normal latent, with its critic",
    "pggan-mnist": "PGGAN (progressive growing, Wasserstein) on MNIST at 32x32, 64-D normal latent, with its critic",
    "lenet-mnist": "LeNet classifier on MNIST, judges the samples of the generators",
}
# Half-width of the uniform distribution that the offsets of `norm1` start from. Batch norm starts them at
# zero, so that every boundary of layer 1 runs through the mean latent; in two dimensions training leaves them
# there, and the plane falls into a star of wedges with a dead centre. Spread offsets tile the square.
FIRST_OFFSETS = {"dcgan-mnist-2d": 1.5, "dcgan-mnist": 0.0}
CHANNELS = (128, 64, 32, 16)
CRITIC_CHANNELS = (32, 64, 64, 128)
# Digits are padded from 28 to 32 pixels a side; tanh, which the original does without, ends them in clean black.
PGGAN_GENERATOR = PgganConfig(latent_size=64, channels=(96, 64, 24, 12), image_channels=1, output="tanh")
PGGAN_CRITIC = PgganCriticConfig(channels=(64, 48, 24, 8), image_channels=1)


def train(name: str, data: Path, out: Path, progress: Progress) -> ModelCard:
    """Train one embedded model and write its weights and card into ``out``.

    Args:
        name: a key of ``SUMMARIES``.
        data: folder with the MNIST files.
        out: folder for the results; a stopped training found there goes on.
        progress: called after every step with (done, total, text).

    Raises:
        ModelNotFoundError: there is no recipe of that name.
        DataError: the data are missing or not the published ones.
    """
    if name not in SUMMARIES:
        raise unknown_model(name, list(SUMMARIES))
    if name == "lenet-mnist":
        return train_lenet(data, out, progress)
    if name in PGGANS:
        return train_pggan(name, data, out, progress)
    return train_dcgan(name, data, out, progress)


def train_lenet(data: Path, out: Path, progress: Progress) -> ModelCard:
    """Train ``lenet-mnist`` and write it into ``out``."""
    model = train_classifier(CLASSIFIER, load_mnist(data, "train"), progress)
    card = ModelCard(
        name="lenet-mnist",
        summary=SUMMARIES["lenet-mnist"],
        architecture={"family": "lenet"},
        latent={},
        data=_data_card(),
        settings=asdict(CLASSIFIER) | _versions(),
        metrics={"test_accuracy": accuracy(model, load_mnist(data, "test"))},
    )
    return save_weights(out, card, model.state_dict())


def train_dcgan(name: str, data: Path, out: Path, progress: Progress) -> ModelCard:
    """Train one of the DCGANs, keep its best checkpoint and write it into ``out``."""
    config, latent = WGANS[name], LATENTS[name]
    judge = Judge(load_classifier("lenet-mnist"), FEATURE_LAYER, load_mnist(data, "test").images)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        generator = DcganGenerator(latent.size, CHANNELS)
        if FIRST_OFFSETS[name] > 0:
            nn.init.uniform_(generator.get_parameter("norm1.bias"), -FIRST_OFFSETS[name], FIRST_OFFSETS[name])
        critic = DcganCritic(CRITIC_CHANNELS)
    training = Wgan(config, generator, critic, latent, load_mnist(data, "train").images)
    result = training.run(lambda g: judge.quality(g, latent).frechet, out / name, progress)
    generator.load_state_dict(result.generator)
    generator.to(memory_format=torch.contiguous_format).eval()  # pyright: ignore[reportCallIssue]
    quality = judge.quality(generator, latent, seed=2)  # fresh samples: seed 1 picked the checkpoint
    card = ModelCard(
        name=name,
        summary=SUMMARIES[name],
        architecture={
            "family": "dcgan",
            "latent_size": latent.size,
            "channels": list(CHANNELS),
            "critic_channels": list(CRITIC_CHANNELS),
        },
        latent=latent.record(),
        data=_data_card(),
        settings=asdict(config) | {"first_offsets": FIRST_OFFSETS[name]} | _versions(),
        metrics=asdict(quality) | {"step": result.step, "history": result.history},
    )
    return save_weights(out, card, _prefixed(generator, result.critic))


def train_pggan(name: str, data: Path, out: Path, progress: Progress) -> ModelCard:
    """Train a PGGAN, keep its best checkpoint at full resolution and write it into ``out``."""
    config, latent = PGGANS[name], LATENTS[name]
    judge = Judge(load_classifier("lenet-mnist"), FEATURE_LAYER, load_mnist(data, "test").images)
    images = F.pad(load_mnist(data, "train").images, (2, 2, 2, 2), value=-1.0)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        networks = PgganGenerator(PGGAN_GENERATOR), PgganCritic(PGGAN_CRITIC)
        training = Progressive(config, *networks, latent, images)
    result = training.run(lambda g: judge.quality(g, latent).frechet, out / name, progress)
    generator, critic = training.finish(result)
    quality = judge.quality(generator, latent, seed=2)  # fresh samples: seed 1 picked the checkpoint
    card = ModelCard(
        name=name,
        summary=SUMMARIES[name],
        architecture={"family": "pggan", "generator": asdict(generator.config), "critic": asdict(critic.config)},
        latent=latent.record(),
        data=_data_card(),
        settings=asdict(config) | _versions(),
        metrics=asdict(quality) | {"step": result.step, "history": result.history},
    )
    return save_weights(out, card, _prefixed(generator, critic.state_dict()))


def _prefixed(generator: nn.Module, critic: dict[str, Tensor]) -> dict[str, Tensor]:
    weights = {f"generator.{key}": value for key, value in generator.state_dict().items()}
    return weights | {f"critic.{key}": value for key, value in critic.items()}


def _data_card() -> dict[str, Any]:
    return {"name": "MNIST", "licence": "CC BY-SA 3.0", "md5": checksums()}


def _versions() -> dict[str, Any]:
    return {"torch": torch.__version__, "threads": torch.get_num_threads()}
