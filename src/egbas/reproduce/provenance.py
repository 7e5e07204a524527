# SPDX-License-Identifier: MIT
"""What the JSON of tables and figures says of the spaces and networks behind its numbers."""

from typing import Any

from torch import nn

from egbas.latent import LatentSpace
from egbas.zoo.pggan.layers import deviation_of


def geometry_facts(latent: LatentSpace) -> dict[str, str]:
    """The geometry of an exploration's latent space, and that nobody asked for it: egbas chose it.

    Args:
        latent: as the exploration has it.
    """
    return {"used": latent.geometry, "asked": "auto"}


def discriminator_facts(discriminator: nn.Module | None) -> dict[str, Any] | None:
    """How a discriminator that judges images sees one among others; None where there is no discriminator.

    Returns:
        {"minibatch_deviation": {"groups", "size", "unbiased", "reference"}}: how the statistic was taken in training,
        and the value that every image gets instead, whatever is beside it; None for a discriminator without it.
    """
    if discriminator is None:
        return None
    layer = deviation_of(discriminator)
    if layer is None:
        return {"minibatch_deviation": None}
    policy = {name: getattr(layer, name) for name in ("groups", "size", "unbiased")}
    return {"minibatch_deviation": {**policy, "reference": layer.reference.item()}}
