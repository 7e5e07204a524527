# SPDX-License-Identifier: MIT
"""The layers of a DCGAN by the names that a format gives them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprint
from egbas.zoo.formats.tensors import Tensors
from egbas.zoo.radford import MAX_LAYERS, RadfordConfig, RadfordCriticConfig

NORM = ("weight", "bias", "running_mean", "running_var")


def generator(tensors: Tensors, convs: Sequence[str], norms: Sequence[str], *, tanh: bool) -> Blueprint:
    """Read a generator.

    Args:
        tensors: of the generator.
        convs: names of its transposed convolutions in the order of the forward pass.
        norms: names of the batch norms after all of them but the last.
        tanh: whether it ends in one.
    """
    _check(tensors, convs, norms)
    weights: dict[str, Tensor] = {}
    width = None
    for number, conv in enumerate(convs, 1):
        w = tensors.load(f"{conv}.weight", width, None, 4, 4, transposed=True)
        weights[f"conv{number}.weight"] = w
        width = w.shape[1]
    for number, norm in enumerate(norms, 1):
        weights |= read_norm(tensors, norm, f"norm{number}", weights[f"conv{number}.weight"].shape[1])
    config = RadfordConfig(
        latent_size=len(weights["conv1.weight"]),
        channels=tuple(weights[f"conv{number}.weight"].shape[1] for number in range(1, len(convs))),
        image_channels=width or 1,
        tanh=tanh,
    )
    return Blueprint(architecture="dcgan-generator", config=config, weights=weights)


def critic(tensors: Tensors, convs: Sequence[str], norms: Sequence[str], *, sigmoid: bool) -> Blueprint:
    """Read a discriminator.

    Args:
        tensors: of the discriminator.
        convs: names of its convolutions in the order of the forward pass, the score last.
        norms: names of the batch norms after all of them but the first and the last.
        sigmoid: whether it ends in one.

    Raises:
        CheckpointError: it gives more than one score.
    """
    _check(tensors, convs, norms)
    weights: dict[str, Tensor] = {}
    width = None
    for number, conv in enumerate(convs, 1):
        w = tensors.load(f"{conv}.weight", None, width, 4, 4)
        weights["score.weight" if number == len(convs) else f"conv{number}.weight"] = w
        width = len(w)
    if width != 1:
        raise CheckpointError(f"the discriminator gives {width} numbers, so it takes labels; egbas does not read those")
    for number, norm in enumerate(norms, 2):
        weights |= read_norm(tensors, norm, f"norm{number}", len(weights[f"conv{number}.weight"]))
    config = RadfordCriticConfig(
        channels=tuple(len(weights[f"conv{number}.weight"]) for number in range(len(convs) - 1, 0, -1)),
        image_channels=weights["conv1.weight"].shape[1],
        sigmoid=sigmoid,
    )
    return Blueprint(architecture="dcgan-critic", config=config, weights=weights)


def _check(tensors: Tensors, convs: Sequence[str], norms: Sequence[str]) -> None:
    if not 2 <= len(convs) <= MAX_LAYERS + 1:
        raise CheckpointError(f"the {tensors.what} has {len(convs)} convolutions; expected 2 to {MAX_LAYERS + 1}")
    needed = [*(f"{conv}.weight" for conv in convs), *(f"{norm}.{kind}" for norm in norms for kind in NORM)]
    tensors.check_names(needed, ignored=r".*\.num_batches_tracked")


def read_norm(tensors: Tensors, name: str, new: str, width: int) -> dict[str, Tensor]:
    """Read a batch norm.

    Args:
        tensors: of the network.
        name: of the norm in the file.
        new: its name in the network that is built.
        width: how many channels it has.

    Raises:
        CheckpointError: it is not of that width, or damaged.
    """
    loaded = {f"{new}.{kind}": tensors.load(f"{name}.{kind}", width) for kind in NORM}
    if float(loaded[f"{new}.running_var"].min()) < 0:
        raise CheckpointError(f"the variances of {name!r} are negative; the file is damaged")
    # It has no effect in eval mode, and files of old versions of torch do not have it.
    return loaded | {f"{new}.num_batches_tracked": torch.tensor(0, dtype=torch.int64)}
