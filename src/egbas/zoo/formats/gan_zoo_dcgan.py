# SPDX-License-Identifier: MIT
"""DCGANs of pytorch_GAN_zoo: ``formatLayer.weight`` with four dimensions, and ``main.convTranspose1.weight``."""

from egbas.zoo.blueprint import Blueprint, Blueprints, latent_shape, normal
from egbas.zoo.containers.content import Content
from egbas.zoo.formats.gan_zoo import TANH_LOSSES, category_size
from egbas.zoo.formats.labels import labelled, notices
from egbas.zoo.formats.radford_layers import critic as read_critic
from egbas.zoo.formats.radford_layers import generator as read_generator
from egbas.zoo.formats.tensors import Tensors

NAME = "pytorch_GAN_zoo-dcgan"


def matches(content: Content) -> bool:
    """Whether the first layer is there, and is a transposed convolution."""
    first = content.generator.get("formatLayer.weight")
    return first is not None and len(first.shape) == 4


def read(content: Content) -> Blueprints:
    """Read both networks.

    Raises:
        CheckpointError: the network is conditional, and its configuration does not tell its labels.
    """
    config = content.settings("config")
    n_labels = category_size(config)
    # Without a configuration, the published settings.
    is_bounded = config.get("lossCriterion", "DCGAN") in TANH_LOSSES
    tensors = Tensors(stored=content.generator, what="generator")
    n = tensors.count(r"main\.convTranspose(\d+)\.weight") or 1
    convs = ["formatLayer", *(f"main.convTranspose{i}" for i in range(1, n)), "main.outlayer"]
    generator = read_generator(tensors, convs, [f"main.batchNorm{i}" for i in range(n)], tanh=is_bounded)
    generator = labelled(generator, n_labels) if n_labels else generator
    discriminator = None
    if content.discriminator is not None and not n_labels:
        discriminator = _critic(Tensors(stored=content.discriminator, what="discriminator"))
    return Blueprints(
        generator=generator,
        discriminator=discriminator,
        latent=normal(*latent_shape(generator)),
        notices=notices(generator),
    )


def _critic(tensors: Tensors) -> Blueprint:
    n = tensors.count(r"main\.convTranspose(\d+)\.weight")
    convs = [*(f"main.convTranspose{i}" for i in reversed(range(n))), "decisionLayer"]
    return read_critic(tensors, convs, [f"main.batchNorm{i}" for i in reversed(range(n - 1))], sigmoid=False)
