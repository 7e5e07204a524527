# SPDX-License-Identifier: MIT
"""Embedded models on disk: NAME.safetensors with the weights and NAME.json, the model card, beside it."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from egbas.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a set of weights is, how it was made and what it reached.

    Attributes:
        name: of the model in the zoo.
        summary: one line for ``egbas models``.
        architecture: family and constructor arguments of the networks.
        latent: keyword arguments of the ``LatentSpace``; empty for a classifier.
        data: name and checksums of the training data.
        settings: every setting of the training, the seed among them.
        metrics: what the weights reached.
        sha256: of the weights file.
        licence: of the weights.
    """

    name: str
    summary: str
    architecture: dict[str, Any]
    latent: dict[str, Any]
    data: dict[str, Any]
    settings: dict[str, Any]
    metrics: dict[str, Any]
    sha256: str = ""
    licence: str = field(default="MIT")


def save_weights(folder: Path, card: ModelCard, weights: dict[str, Tensor]) -> ModelCard:
    """Write weights and card; each file appears complete or not at all. Returns the card with its checksum."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.name}.safetensors"
    partial = path.with_suffix(".partial")
    save_file({key: value.contiguous() for key, value in weights.items()}, partial, metadata={"name": card.name})
    os.replace(partial, path)
    finished = ModelCard(**{**asdict(card), "sha256": sha256(path)})
    partial.write_text(json.dumps(asdict(finished), indent=2) + "\n")
    os.replace(partial, folder / f"{card.name}.json")
    return finished


def load_card(folder: Path, name: str) -> ModelCard:
    """Read the card of a model.

    Raises:
        CheckpointError: it is missing or unreadable.
    """
    path = folder / f"{name}.json"
    try:
        return ModelCard(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"model card {path} cannot be read ({error}); install egbas again") from error


def load_weights(folder: Path, card: ModelCard) -> dict[str, Tensor]:
    """Read the weights of a card and verify their checksum.

    Raises:
        CheckpointError: the file is missing, unreadable or not the one the card describes.
    """
    path = folder / f"{card.name}.safetensors"
    try:
        digest = sha256(path)
        if digest != card.sha256:
            raise CheckpointError(
                f"{path} has sha256 {digest[:12]}..., its card says {card.sha256[:12]}...; install egbas again"
            )
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"weights {path} cannot be read ({error}); install egbas again") from error


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
