# SPDX-License-Identifier: MIT
"""Models by name (embedded weights) or by file (checkpoints), handed out as plain modules."""

import difflib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from egbas.errors import ConfigError, ModelNotFoundError
from egbas.latent import LatentSpace
from egbas.machine.settings import alone
from egbas.machine.threads import settle_fork
from egbas.network import Layer, list_layers
from egbas.zoo.blueprint import blank
from egbas.zoo.card import ModelCard, load_card, load_weights
from egbas.zoo.containers.content import SUFFIXES
from egbas.zoo.lenet import LeNet
from egbas.zoo.mnist_dcgan import DcganCritic, DcganGenerator
from egbas.zoo.pggan import PgganConfig, PgganCritic, PgganCriticConfig, PgganGenerator
from egbas.zoo.pggan.layers import deviation_of

WEIGHTS = Path(__file__).parent / "weights"
FEATURE_LAYER = "relu3"  # of lenet-mnist: its feature vector (84,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A generator with what belongs to it.

    Attributes:
        name: as it was asked for.
        generator: maps latents (n, *latent.shape) to images (n, c, h, w); in eval mode.
        discriminator: maps images to scores, or None.
        latent: where the generator's inputs come from.
        card: of an embedded model, else None.
        sha256: of the file of the weights, or empty where they came from no file.
        facts: what else is to tell: of a file its format and which of its weights were taken; of a critic its
            minibatch deviation.
    """

    name: str
    generator: nn.Module
    discriminator: nn.Module | None
    latent: LatentSpace
    card: ModelCard | None = None
    sha256: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def layers(self) -> list[Layer]:
        """The generator's non-linearities in forward order, the output's among them."""
        return list_layers(self.generator, self.latent.shape)


@alone
def load_classifier(name: str, folder: Path = WEIGHTS) -> LeNet:
    """Load an embedded classifier in eval mode.

    Raises:
        ModelNotFoundError: there is no classifier of that name.
        CheckpointError: the weights are damaged.
    """
    settle_fork()
    card = _card(name, ("lenet",), folder)
    classifier: Any = blank(LeNet)
    classifier.zoo_name = name  # run directories tell it
    classifier.load_state_dict(load_weights(folder, card))
    return classifier.eval().requires_grad_(False)


@alone
def load_model(
    name: str | os.PathLike[str],
    folder: Path = WEIGHTS,
    *,
    key: str | None = None,
    activation: str | None = None,
) -> Model:
    """Load a generator with its critic, both in eval mode: an embedded model, or a checkpoint file.

    Nothing in a file is run; docs/checkpoints.md lists the formats.

    Args:
        name: of an embedded model, or path of a file, or of a folder with the index of several.
        folder: of the embedded models.
        key: of the network in the file to generate with, such as ``"netG"``, where there are several.
        activation: between the layers of the network, where the file does not tell it: ``"relu"``,
            ``"leaky_relu:0.2"``; with the one at its end ``"relu,tanh"``.

    Raises:
        ModelNotFoundError: there is no generator of that name.
        CheckpointError: the weights are damaged, or the file is of a format that is not read.
        ConfigError: an embedded model is asked for with a key or an activation.
    """
    settle_fork()
    choices = {name: value for name, value in (("key", key), ("activation", activation)) if value is not None}
    if isinstance(name, os.PathLike):
        return _load_file(os.fspath(name), choices)
    try:
        card = _card(name, ("dcgan", "pggan"), folder)
    except ModelNotFoundError:
        if is_path(name):
            return _load_file(name, choices)
        raise
    refuse_choices(name, choices)
    weights = load_weights(folder, card)
    generator, critic = _networks(card.architecture)
    for prefix, module in (("generator.", generator), ("critic.", critic)):
        own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        module.load_state_dict(own)
        module.eval().requires_grad_(False)
    latent = LatentSpace.from_record(card.latent)
    generator.zoo_name = name
    generator.latent = latent  # egbas.explore reads it
    return Model(
        name=name,
        generator=generator,
        discriminator=critic,
        latent=latent,
        card=card,
        sha256=card.sha256,
        facts=_deviation(critic),
    )


def refuse_choices(name: str, choices: dict[str, str]) -> None:
    """Refuse a key or an activation for what is no checkpoint file.

    Raises:
        ConfigError: there is one.
    """
    if choices:
        given = " and ".join(f"--{choice} {value} ({choice}=)" for choice, value in choices.items())
        raise ConfigError(f"got {given} for {name}, which is no checkpoint file; leave it out")


def classifiers(folder: Path = WEIGHTS) -> list[str]:
    """Names of the embedded classifiers."""
    return [card.name for card in cards(folder) if card.architecture["family"] == "lenet"]


def is_path(name: str) -> bool:
    """Whether a name that is no model's means a file: it exists, or looks like one."""
    try:
        if Path(name).exists():
            return True
    except (OSError, ValueError):  # too long, or with a null byte
        return False
    is_like_one = Path(name).suffix.lower() in SUFFIXES or os.sep in name or name.endswith(".index.json")
    return ":" not in name and is_like_one


def _load_file(name: str, choices: dict[str, str]) -> Model:
    # A model by its name needs no format; together they take a tenth as long as the rest of egbas to import.
    from egbas.zoo.formats import build_networks, read_checkpoint
    from egbas.zoo.state_dicts import checksum

    path = Path(name).expanduser()
    format_name, blueprints = read_checkpoint(path, **choices)
    generator: Any
    generator, discriminator = build_networks(path, blueprints)
    generator.zoo_name, generator.zoo_choices, generator.zoo_notices = name, choices, blueprints.notices
    generator.latent = blueprints.latent  # egbas.explore reads it
    return Model(
        name=name,
        generator=generator,
        discriminator=discriminator,
        latent=blueprints.latent,
        sha256=checksum(path),
        facts={"format": format_name, **blueprints.facts, **_deviation(discriminator)},
    )


def _deviation(critic: nn.Module | None) -> dict[str, str]:
    """How a critic uses the minibatch deviation; nothing where it has none."""
    layer = deviation_of(critic)
    if layer is None:
        return {}
    policy = f"{float(layer.reference):g} for every image, whatever else is in its batch"
    return {"minibatch_deviation": f"{policy}; {layer.groups} groups of {layer.size} in training"}


def cards(folder: Path = WEIGHTS) -> list[ModelCard]:
    """The cards of every embedded model, by name."""
    return [load_card(folder, path.stem) for path in sorted(folder.glob("*.json"))]


def unknown_model(name: str, names: list[str]) -> ModelNotFoundError:
    """The error for a name that is not among ``names``; it tells the nearest."""
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return ModelNotFoundError(f"no model is called {name!r}; {hint}there are: {', '.join(names) or 'none'}")


def _networks(architecture: dict[str, Any]) -> tuple[DcganGenerator, DcganCritic] | tuple[PgganGenerator, PgganCritic]:
    """Generator and critic of a card, their weights not filled in yet."""
    if architecture["family"] == "pggan":
        generator = blank(PgganGenerator, PgganConfig.from_json(architecture["generator"]))
        return generator, blank(PgganCritic, PgganCriticConfig.from_json(architecture["critic"]))
    generator = blank(DcganGenerator, architecture["latent_size"], tuple(architecture["channels"]))
    return generator, blank(DcganCritic, tuple(architecture["critic_channels"]))


def _card(name: str, families: tuple[str, ...], folder: Path) -> ModelCard:
    known = [card for card in cards(folder) if card.architecture["family"] in families]
    for card in known:
        if card.name == name:
            return card
    raise unknown_model(name, [card.name for card in known])
