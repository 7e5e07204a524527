# SPDX-License-Identifier: MIT
"""Labels in the first layer of a generator, beside the latent or multiplied with it, as conditional GANs have them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprint, latent_shape
from egbas.zoo.containers.networks import words
from egbas.zoo.containers.stored import StoredTensor
from egbas.zoo.labelled import LabelledConfig

LABEL_WORDS = frozenset("label labels emb embed embedding embeddings class classes cls cond condition category".split())
N_CLASSES = 10  # of MNIST, CIFAR and their kin
USUAL_LATENTS = (50, 62, 64, 100, 128, 256)


def is_of_labels(name: str, value: StoredTensor) -> bool:
    """Whether a tensor is a table of labels: (classes, values), called so."""
    return len(value.shape) == 2 and bool(words(name) & LABEL_WORDS)


def table_of(stored: Mapping[str, StoredTensor]) -> str | None:
    """The name of the only table of labels; None where there is none, or several."""
    found = [name for name, value in stored.items() if name.endswith("weight") and is_of_labels(name, value)]
    return found[0] if len(found) == 1 else None


def holds_ten_labels(size: int) -> bool:
    """Whether a first layer seems to take a latent of a usual size and the labels of ten classes, one-hot."""
    return size - N_CLASSES in USUAL_LATENTS


def labelled(generator: Blueprint, classes: int, table: Tensor | None = None) -> Blueprint:
    """A generator whose first layer takes the latent and the label, as one that has the label as an input.

    A label of as many values as the first layer takes is multiplied with the latent, as in the AC-GAN of PyTorch-GAN.

    Args:
        generator: takes both.
        classes: how many there are.
        table: (classes, values), what each label becomes; None: one-hot.

    Raises:
        CheckpointError: nothing is left for a latent.
    """
    both, *others = latent_shape(generator)
    rows = torch.eye(classes, dtype=torch.float32) if table is None else table
    width = rows.shape[1]
    if width > both:
        raise CheckpointError(
            f"its labels have {width} values and its first layer takes {both}; expected as many, to multiply, or "
            "fewer, beside a latent. Load the network with its own code, and pass it as --model package.module:callable"
        )
    is_product = width == both
    config = LabelledConfig(
        latent=(both if is_product else both - width, *others),
        classes=classes,
        width=width,
        architecture=generator.architecture,
        inner=generator.config,
        is_product=is_product,
    )
    weights = {"rows": rows} | {f"inner.{name}": value for name, value in generator.weights.items()}
    return Blueprint(architecture="labelled-generator", config=config, weights=weights)


def notices(generator: Blueprint) -> tuple[str, ...]:
    """What is assumed of a labelled generator, as a sentence; nothing of others."""
    if generator.architecture != "labelled-generator":
        return ()
    config: LabelledConfig = generator.config
    if config.is_product:
        return (
            f"The labels have {config.width} values, as the latent has: the first layer is taken to get the latent "
            f"times those of a label, 0 to {config.classes - 1} (--input label=0). Where they are added, say --input "
            "added=true.",
        )
    return (
        f"The first layer takes {config.latent[0] + config.width} values: a latent of {config.latent[0]} and behind it "
        f"{config.width} of a label, 0 to {config.classes - 1} (--input label=0). Where the label comes first, say "
        "--input labels_first=true.",
    )
